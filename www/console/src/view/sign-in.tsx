// The sign-in to a remote mob: over whatever the page shows, which stays as it is and goes on afterwards.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type ConsoleError, toConsoleError } from "../client.ts";
import type { RemoteClient } from "../remote/client.ts";
import { Dialog, Icon } from "./common.tsx";

export function SignIn({ remote, meanwhile }: { remote: RemoteClient; meanwhile: boolean }) {
  const state = remote.signIn.value;
  return state.needed ? (
    <Dialog title={`Sign in to ${remote.address.host}`}>
      <SignInForm remote={remote} refusal={state.refusal} meanwhile={meanwhile} />
    </Dialog>
  ) : null;
}

function SignInForm({ remote, refusal, meanwhile }: { remote: RemoteClient; refusal: ConsoleError | undefined; meanwhile: boolean }) {
  const field = useRef<HTMLInputElement>(null);
  const token = useSignal("");
  const keep = useSignal(false);
  const busy = useSignal(false);
  const failed = useSignal<ConsoleError | undefined>(undefined);
  const { base, host, readable } = remote.address;
  const error = failed.value ?? refusal;
  useEffect(() => field.current?.focus(), []);
  const submit = async (): Promise<void> => {
    if (busy.value) return;
    busy.value = true;
    failed.value = undefined;
    try {
      await remote.useToken(token.value, keep.value);
      token.value = "";
    } catch (caught) {
      failed.value = toConsoleError(caught);
    }
    busy.value = false;
    field.current?.select();
  };
  return (
    <form
      class="form"
      data-testid="sign-in"
      autocomplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <p class="lede">
        The token is for the mob at <code>{base}</code>.
        {meanwhile && " What is on this page stays as it is."}
      </p>
      {error && (
        <div class={`sign-in-reason${error.code === "missing_credentials" ? "" : " bad"}`} role="alert" data-testid="sign-in-reason" data-code={error.code}>
          {error.code !== "missing_credentials" && <Icon name="warn" />}
          <p>{error.message}</p>
        </div>
      )}
      {readable && (
        <div class="callout" data-testid="sign-in-readable">
          <Icon name="warn" />
          <p>Its address is plain http: the token, and all that is said, can be read by everybody on the way to {host}.</p>
        </div>
      )}
      <label>
        Token
        <input
          ref={field}
          name="token"
          type="password"
          required
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          aria-describedby="token-use"
          value={token.value}
          onInput={(event) => (token.value = event.currentTarget.value)}
        />
        <small id="token-use">Sent to this address only, and kept in this page's memory: a reload asks for it again.</small>
      </label>
      <label class="check">
        <input type="checkbox" name="keep" checked={keep.value} onChange={(event) => (keep.value = event.currentTarget.checked)} />
        Keep it for this tab, until it is closed
      </label>
      <div class="buttons">
        <button type="submit" class="primary" disabled={busy.value}>
          {busy.value ? "Signing in…" : "Sign in"}
        </button>
      </div>
    </form>
  );
}
