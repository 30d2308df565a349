// The wiring as a picture: who can reach whom, who works, and each message as a spark on its wire.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { App, MemberRow, Pulse } from "../app.ts";
import { countOwners, edgeKey, OWNER_WORDS } from "../store/edges.ts";
import { layout, type Place } from "../store/layout.ts";
import type { EdgeOwner } from "../wire.ts";
import { hueOf, initials, moveFocus, STATE_WORDS } from "./common.tsx";

const WIDTH = 320;
const HEIGHT = 220;
const MARGIN = 30;

const x = (place: Place): number => MARGIN + place.x * (WIDTH - 2 * MARGIN);
const y = (place: Place): number => MARGIN - 6 + place.y * (HEIGHT - 2 * MARGIN);

export function Topology({ app }: { app: App }) {
  const svg = useRef<SVGSVGElement>(null);
  const rows = app.rows.value;
  const edges = app.edges.value;
  const owners = app.edgeOwners.value;
  const selected = app.selected.value;
  // The places change with members and wires only, not with every word that a member says.
  const shape = useComputed(() => app.rows.value.map((row) => `${row.identity}\t${row.role}`).join("\n"));
  const places = useComputed(() => {
    const members = shape.value === "" ? [] : shape.value.split("\n").map((line) => ({ identity: line.split("\t")[0] ?? "", role: line.split("\t")[1] ?? "" }));
    const centre = members.find((member) => member.role === app.roster.orchestrator)?.identity;
    return layout(members, app.edges.value, centre);
  });
  const focusable = rows.some((row) => row.identity === selected) ? selected : rows[0]?.identity;
  const radius = rows.length > 40 ? 5 : rows.length > 16 ? 9 : 15;
  const busy = new Set(app.pulses.value.flatMap((pulse) => [`${pulse.from}\n${pulse.to}`, `${pulse.to}\n${pulse.from}`]));
  return (
    <section class="panel topology" data-testid="topology-panel" aria-labelledby="topology-title">
      <header class="panel-head">
        <h2 id="topology-title">Wiring</h2>
        <span class="spacer" />
        <span class="quiet">
          <span data-testid="topology-node-count">{rows.length}</span> {rows.length === 1 ? "member" : "members"} · <span data-testid="topology-edge-count">{edges.length}</span>{" "}
          {edges.length === 1 ? "edge" : "edges"}
        </span>
      </header>
      <svg ref={svg} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="group" aria-label={`${rows.length} members and ${edges.length} edges`} onKeyDown={(event) => moveFocus(event, svg, "[role=button]")}>
        <g aria-hidden="true">
          {edges.map(([a, b]) => {
            const from = places.value.get(a);
            const to = places.value.get(b);
            if (!from || !to) return null;
            const near = selected === a || selected === b;
            const owner = owners.get(edgeKey(a, b));
            return <line key={`${a}\n${b}`} data-owner={owner} class={`wire${owner === undefined ? "" : ` by-${owner}`}${near ? " near" : ""}${busy.has(`${a}\n${b}`) ? " busy" : ""}`} x1={x(from)} y1={y(from)} x2={x(to)} y2={y(to)} />;
          })}
          {app.pulses.value.map((pulse) => (
            <Spark key={pulse.id} pulse={pulse} places={places.value} />
          ))}
        </g>
        {rows.map((row) => {
          const place = places.value.get(row.identity);
          return place && <Node key={row.identity} row={row} place={place} radius={radius} selected={row.identity === selected} focusable={row.identity === focusable} onSelect={() => app.select(row.identity)} />;
        })}
        <g class="names" aria-hidden="true">
          {rows.map((row) => {
            const place = places.value.get(row.identity);
            if (!place) return null;
            const chosen = row.identity === selected;
            return (
              <g key={row.identity}>
                {radius > 10 && (
                  <text class="letters" x={x(place)} y={y(place)} dy="0.35em">
                    {initials(row.identity)}
                  </text>
                )}
                {(radius > 10 || chosen) && (
                  <text class={`label${chosen ? " selected" : ""}`} x={x(place)} y={y(place) + radius + 13}>
                    {row.displayName.length > 16 ? `${row.displayName.slice(0, 15)}…` : row.displayName}
                  </text>
                )}
              </g>
            );
          })}
        </g>
      </svg>
      {rows.length > 1 && edges.length === 0 && <p class="empty">No edges: nobody can reach anybody.</p>}
      {edges.length > 0 && <Edges edges={edges} owners={owners} />}
    </section>
  );
}

/** What the dashes mean, and the edges as a list for whom a picture is no help. */
function Edges({ edges, owners }: { edges: readonly [string, string][]; owners: ReadonlyMap<string, EdgeOwner> }) {
  const open = useSignal(false);
  return (
    <div class="edges">
      <ul class="legend" data-testid="edge-legend" aria-label="Who made the edges">
        {countOwners(edges, owners).map(([owner, count]) => (
          <li key={owner} data-owner={owner}>
            <svg viewBox="0 0 30 8" aria-hidden="true" focusable="false">
              <line class={`wire by-${owner}`} x1="1" y1="4" x2="29" y2="4" />
            </svg>
            {count} {OWNER_WORDS[owner]}
          </li>
        ))}
      </ul>
      <details onToggle={(event) => (open.value = event.currentTarget.open)}>
        <summary>Edges as a list</summary>
        {open.value && (
          <ul class="edge-list" data-testid="edge-list" tabIndex={0} aria-label="Edges">
            {edges.map(([a, b]) => {
              const owner = owners.get(edgeKey(a, b));
              return (
                <li key={`${a}\n${b}`} data-owner={owner}>
                  {a} – {b}
                  {owner !== undefined && <span class="quiet">, {OWNER_WORDS[owner]}</span>}
                </li>
              );
            })}
          </ul>
        )}
      </details>
    </div>
  );
}

function Node({ row, place, radius, selected, focusable, onSelect }: { row: MemberRow; place: Place; radius: number; selected: boolean; focusable: boolean; onSelect: () => void }) {
  const words = `${row.displayName}, ${row.role}, ${STATE_WORDS[row.state] ?? row.state}, ${row.wiredTo.length === 0 ? "wired to nobody" : `wired to ${row.wiredTo.join(", ")}`}`;
  return (
    <g
      class={`node state-${row.state}${selected ? " selected" : ""}`}
      role="button"
      // SVG knows the attribute in lower case only.
      tabindex={focusable ? 0 : -1}
      aria-label={words}
      aria-pressed={selected}
      data-node={row.identity}
      onClick={onSelect}
      onKeyDown={(event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        onSelect();
      }}
    >
      <title>{words}</title>
      <circle class="halo" cx={x(place)} cy={y(place)} r={radius + 4} />
      <circle class={`disc ${hueOf(row.role || row.identity)}`} cx={x(place)} cy={y(place)} r={radius} />
    </g>
  );
}

/** A message on its way. The wire lights up as well, which is all that remains where motion is unwanted. */
function Spark({ pulse, places }: { pulse: Pulse; places: Map<string, Place> }) {
  const motion = useRef<SVGAnimateMotionElement>(null);
  useEffect(() => {
    motion.current?.beginElement();
  }, []);
  const from = places.get(pulse.from);
  const to = places.get(pulse.to);
  if (!from || !to) return null;
  return (
    <circle class="spark" r="4">
      <animateMotion ref={motion} dur="1.1s" begin="indefinite" fill="freeze" {...{ path: `M${x(from)},${y(from)} L${x(to)},${y(to)}` }} />
    </circle>
  );
}
