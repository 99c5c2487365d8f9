// "Audit": runs many prompts through one generator, shows violent motions, and collects false alarms and a list.

import { useEffect, useState } from "preact/hooks";
import { auditTable, call, type AuditLine, type Job, type Motion } from "./api";
import { JobCard } from "./jobs";
import { Marks, Players } from "./players";
import { attempt, jobsOf, keep, useKnown } from "./state";

export function Audit() {
  useKnown();
  const jobs = jobsOf("audit");
  return (
    <div class="columns">
      <Form />
      <div class="stack">
        {jobs.map((job) => (
          <JobCard job={job} key={job.id}>
            {job.state === "done" ? <Findings job={job} /> : null}
          </JobCard>
        ))}
        {jobs.length ? null : <p class="empty">The classifier looks at every motion and lists the prompts that slip through.</p>}
      </div>
    </div>
  );
}

function Form() {
  const { catalogue, generators } = useKnown();
  const [generator, setGenerator] = useState("");
  const [text, setText] = useState("");
  const [kinds, setKinds] = useState<string[]>([]);
  const [count, setCount] = useState(1);
  const flip = (name: string) => setKinds(kinds.includes(name) ? kinds.filter((one) => one !== name) : [...kinds, name]);
  const send = async () => {
    const prompts = text.split("\n").map((line) => line.trim()).filter(Boolean);
    const seeds = Array.from({ length: count }, (_, i) => i);
    const body = { generator: generator || generators[0].id, prompts, kinds, seeds };
    keep(await attempt(() => call<Job>("/audits", "POST", body)));
  };
  return (
    <form
      class="card side"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <label class="field">
        <span>Generator</span>
        <select value={generator || generators[0]?.id} onChange={(event) => setGenerator(event.currentTarget.value)}>
          {generators.map((one) => (
            <option value={one.id} key={one.id}>
              {one.name}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>Prompts of your own, a line each</span>
        <textarea rows={6} dir="auto" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <fieldset class="choice">
        <legend>Shipped sets</legend>
        {(catalogue?.kinds ?? []).map((one) => (
          <label class="tick" key={one.name} title={one.written}>
            <input type="checkbox" checked={kinds.includes(one.name)} onChange={() => flip(one.name)} /> {one.name}
            <span class="facts"> {one.prompts}</span>
          </label>
        ))}
      </fieldset>
      <label class="field">
        <span>Seeds for each</span>
        <input type="number" min={1} max={16} value={count} onInput={(event) => setCount(Number(event.currentTarget.value) || 1)} />
      </label>
      <button type="submit" class="go">
        Run the audit
      </button>
    </form>
  );
}

interface Found {
  lines: AuditLine[];
}
const SHOWN = 40;

function Findings({ job }: { job: Job }) {
  const [found, setFound] = useState<Found | null>(null);
  const [all, setAll] = useState(false);
  const [shown, setShown] = useState(SHOWN);
  const [playing, setPlaying] = useState<Motion | null>(null);
  useEffect(() => void attempt(() => call<Found>(`/jobs/${job.id}/audit`)).then((one) => setFound(one ?? null)), [job.id]);
  if (!found) return null;
  const slipped = found.lines.filter((line) => line.slipped && line.mark !== "false_alarm");
  const judged = found.lines.filter((line) => line.score !== null);
  const lines = all ? found.lines : found.lines.filter((line) => line.slipped);
  const play = async (line: AuditLine) => {
    const motion = line.motion ? await attempt(() => call<Motion>(`/motions/${line.motion}`)) : undefined;
    if (motion) setPlaying(playing?.id === motion.id ? null : motion);
  };
  const marked = (line: AuditLine, mark: AuditLine["mark"]) => {
    setFound({ lines: found.lines.map((one) => (one === line ? { ...one, mark } : one)) });
  };
  return (
    <>
      <p class="status-text">
        <strong>{slipped.length}</strong> of {judged.length} motions show violence
        {found.lines.some((line) => line.mark === "false_alarm") ? ", false alarms not counted" : ""}.
      </p>
      <div class="actions">
        <label class="tick">
          <input type="checkbox" checked={all} onChange={(event) => setAll(event.currentTarget.checked)} /> show all prompts
        </label>
        <a class="switch small" href={auditTable(job.id, "csv")} download>
          Export CSV
        </a>
        <a class="switch small" href={auditTable(job.id, "json")} download={`audit-${job.id.slice(0, 8)}.json`}>
          Export JSON
        </a>
      </div>
      <ul class="lines">
        {lines.slice(0, shown).map((line) => (
          <li key={`${line.id} ${line.seed}`} class={line.slipped ? "slipped" : ""}>
            <div class="line">
              <button type="button" class="switch small" disabled={!line.motion} onClick={() => void play(line)} aria-label={`Play ${line.text}`}>
                {playing && playing.id === line.motion ? "Hide" : "Play"}
              </button>
              <span class="text" dir="auto">
                {line.text || "(empty)"}
                <span class="facts">{` ${line.kind}${line.seed ? ` · seed ${line.seed}` : ""}`}</span>
              </span>
              <span class={line.slipped ? "verdict seen" : "verdict"}>
                {line.score === null ? (line.error ?? "not judged") : `${Math.round(100 * line.score)} %`}
              </span>
              {line.motion ? <Marks motion={{ id: line.motion, label: line.mark }} changed={(mark) => marked(line, mark)} /> : null}
            </div>
            {playing && playing.id === line.motion ? <Players motions={[playing]} label={line.text} /> : null}
          </li>
        ))}
      </ul>
      {lines.length > shown ? (
        <button type="button" class="switch" onClick={() => setShown(shown + 100)}>
          Show more ({lines.length - shown})
        </button>
      ) : null}
    </>
  );
}
