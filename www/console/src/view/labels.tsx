// Labels: shown as small marks, and the mob's own edited as rows of key and value.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { App } from "../app.ts";
import { type ConsoleError, toConsoleError } from "../client.ts";
import { labelFaults, labelsOfRows, type LabelRow, rowsOfLabels } from "../store/labels.ts";
import { Icon } from "./common.tsx";
import { ErrorText } from "./error.tsx";

/** Labels in a line, of which the end is cut off where there is no room. */
export function LabelList({ labels, label, testId }: { labels: readonly [string, string][]; label: string; testId?: string }) {
  if (labels.length === 0) return null;
  return (
    <ul class="labels" aria-label={label} data-testid={testId}>
      {labels.map(([key, value]) => (
        <li key={key} title={`${key}: ${value}`}>
          <span class="label-key">{key}</span>
          {value !== "" && <span class="label-value"> {value}</span>}
        </li>
      ))}
    </ul>
  );
}

/** The mob's labels. They are set as a whole: what is not in the rows is gone after saving. */
export function MobLabels({ app }: { app: App }) {
  const draft = app.labelDraft;
  const rows = draft.value ?? rowsOfLabels(app.mobLabels.value);
  const faults = labelFaults(rows);
  const busy = useSignal(false);
  const error = useSignal<ConsoleError | undefined>(undefined);
  const list = useRef<HTMLDivElement>(null);
  const disabled = app.readOnly.value;

  const edit = (id: number, part: Partial<LabelRow>): void => {
    draft.value = rows.map((row) => (row.id === id ? { ...row, ...part } : row));
  };
  const focusRow = (at: number): void => {
    requestAnimationFrame(() => list.current?.querySelectorAll<HTMLInputElement>("[data-label-key]")[at]?.focus());
  };
  const add = (): void => {
    draft.value = [...rows, { id: Math.max(-1, ...rows.map((row) => row.id)) + 1, key: "", value: "" }];
    focusRow(rows.length);
  };
  const remove = (id: number): void => {
    const at = rows.findIndex((row) => row.id === id);
    draft.value = rows.filter((row) => row.id !== id);
    focusRow(Math.max(0, at - 1));
  };
  const save = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      await app.change("mobkit/mob_labels/set", { labels: labelsOfRows(rows) });
      draft.value = undefined;
    } catch (caught) {
      error.value = toConsoleError(caught);
    }
    busy.value = false;
  };

  return (
    <form
      class="card label-editor"
      data-testid="mob-labels"
      aria-labelledby="labels-title"
      onSubmit={(event) => {
        event.preventDefault();
        if (draft.value && faults.size === 0 && !busy.value && !disabled) void save();
      }}
    >
      <h3 id="labels-title">Labels</h3>
      <p>They belong to the mob as a whole. Structural events carry them when they are read.</p>
      <div class="label-rows" ref={list}>
        {rows.map((row, at) => {
          const fault = faults.get(row.id);
          return (
            <div key={row.id} class="label-row">
              <input
                data-label-key
                aria-label={`Key of label ${at + 1}`}
                aria-invalid={fault !== undefined}
                aria-describedby={fault === undefined ? undefined : `label-fault-${row.id}`}
                placeholder="key"
                value={row.key}
                disabled={disabled}
                onInput={(event) => edit(row.id, { key: event.currentTarget.value })}
              />
              <input aria-label={`Value of label ${at + 1}`} placeholder="value" value={row.value} disabled={disabled} onInput={(event) => edit(row.id, { value: event.currentTarget.value })} />
              <button type="button" class="icon-button" aria-label={`Remove label ${row.key || at + 1}`} disabled={disabled} onClick={() => remove(row.id)}>
                <Icon name="close" />
              </button>
              {fault !== undefined && (
                <p class="field-fault" id={`label-fault-${row.id}`}>
                  {fault}
                </p>
              )}
            </div>
          );
        })}
        {rows.length === 0 && <p class="quiet">No labels.</p>}
      </div>
      {error.value && <ErrorText what="Not saved" error={error.value} />}
      <div class="buttons start">
        <button type="button" data-testid="label-add" disabled={disabled} onClick={add}>
          Add a label
        </button>
        <button type="submit" class="primary" data-testid="labels-save" disabled={disabled || busy.value || draft.value === undefined || faults.size > 0}>
          Save
        </button>
        {draft.value !== undefined && (
          <button
            type="button"
            onClick={() => {
              draft.value = undefined;
              error.value = undefined;
            }}
          >
            Undo the edit
          </button>
        )}
      </div>
    </form>
  );
}
