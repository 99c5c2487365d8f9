// Starts the studio's page: header, tabs, notices and the current view.

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { rememberedTheme, type PlayerGroup } from "../src/players";
import { Audit } from "./audit";
import { Forget } from "./forget";
import { Make } from "./make";
import { openPlayers, PlayersContext } from "./players";
import { Report } from "./report";
import { begin, change, go, useKnown, type Tab } from "./state";

const TABS: [Tab, string][] = [
  ["make", "Make"],
  ["forget", "Forget"],
  ["audit", "Audit"],
  ["report", "Report"],
];
const VIEWS = { make: Make, forget: Forget, audit: Audit, report: Report };

function App() {
  const { tab, catalogue } = useKnown();
  const bar = useRef<HTMLDivElement>(null);
  const [players, setPlayers] = useState<PlayerGroup | null>(null);
  useEffect(() => {
    if (catalogue && bar.current && !players) setPlayers(openPlayers(catalogue.skeleton, bar.current));
  }, [catalogue !== null]);
  const View = VIEWS[tab];
  return (
    <PlayersContext.Provider value={players}>
      <header class="head">
        <h1>
          Exuvia <span>Studio</span>
        </h1>
        <nav aria-label="Views">
          {TABS.map(([name, text]) => (
            <a key={name} href={`#/${name}`} aria-current={tab === name ? "page" : undefined} onClick={() => go(name)}>
              {text}
            </a>
          ))}
        </nav>
        <Health />
      </header>
      <div class="bar">
        <div class="bar-inner">
          <div class="legend">
            <span style={{ "--dot": "var(--left)" }}>left</span>
            <span style={{ "--dot": "var(--right)" }}>right</span>
            <span class="is-mark" style={{ "--dot": "var(--mark)" }}>
              replaced code, violence
            </span>
          </div>
          <div class="toolbar" ref={bar} />
        </div>
      </div>
      <Notices />
      <main>
        <View />
      </main>
    </PlayersContext.Provider>
  );
}

function Health() {
  const { status, connected } = useKnown();
  const waiting = (status?.jobs.queued ?? 0) + (status?.jobs.running ?? 0);
  const text = !connected ? "not connected" : !status?.ready ? "starting" : waiting ? `ready · ${waiting} at work` : "ready";
  return (
    <span class={`health ${connected && status?.ready ? "good" : ""}`} role="status" data-ready={String(Boolean(status?.ready))}>
      {text}
    </span>
  );
}

function Notices() {
  const { notice, stale } = useKnown();
  return (
    <div class="notices" aria-live="polite">
      {stale ? (
        <p class="notice">
          The studio has another version than this page.{" "}
          <button type="button" class="switch small" onClick={() => location.reload()}>
            Load the page again
          </button>
        </p>
      ) : null}
      {notice ? (
        <p class="notice" role="alert">
          {notice}{" "}
          <button type="button" class="switch small" onClick={() => change({ notice: "" })}>
            Close
          </button>
        </p>
      ) : null}
    </div>
  );
}

rememberedTheme();
addEventListener("error", (event) => (document.documentElement.dataset.fault = event.message));
render(<App />, document.getElementById("app") as HTMLElement);
void begin();
