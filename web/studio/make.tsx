// "Make": generates motion from prompts with one generator or several in comparison.

import { useEffect, useRef, useState } from "preact/hooks";
import { call, type Generator, type Job, type Motion } from "./api";
import { JobCard } from "./jobs";
import { Players } from "./players";
import { attempt, change, jobsOf, keep, useKnown } from "./state";

export function Make() {
  return (
    <div class="columns">
      <Form />
      <History />
    </div>
  );
}

function Form() {
  const { catalogue, prompt, chosen } = useKnown();
  const [count, setCount] = useState(1);
  const [seed, setSeed] = useState(0);
  const [seconds, setSeconds] = useState("");
  const [busy, setBusy] = useState(false);
  const history = [...new Set(jobsOf("generate").flatMap((job) => (job.request.prompts as string[]) ?? []))].slice(0, 30);
  const send = async () => {
    const prompts = prompt.split("\n").map((line) => line.trim()).filter(Boolean);
    if (!prompts.length) {
      change({ notice: "type what the motion shows, such as: a person walks forward" });
      return;
    }
    setBusy(true);
    const seeds = Array.from({ length: count }, (_, i) => seed + i);
    const frames = seconds ? Math.round(Number(seconds) * 20) : null;
    keep(await attempt(() => call<Job>("/motion", "POST", { prompts, seeds, generators: chosen, frames })));
    setBusy(false);
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
        <span>What the motion shows, a line for each</span>
        <textarea
          id="prompt"
          rows={3}
          dir="auto"
          value={prompt}
          placeholder="a man kicks something with his left leg"
          onInput={(event) => change({ prompt: event.currentTarget.value })}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void send();
          }}
        />
      </label>
      <div class="examples" role="group" aria-label="Examples">
        {(catalogue?.examples ?? []).map((text) => (
          <button type="button" class="chip" key={text} onClick={() => change({ prompt: text })}>
            {text}
          </button>
        ))}
      </div>
      {history.length ? (
        <label class="field">
          <span>Asked before</span>
          <select value="" onChange={(event) => change({ prompt: event.currentTarget.value })}>
            <option value="">choose one</option>
            {history.map((text) => (
              <option key={text}>{text}</option>
            ))}
          </select>
        </label>
      ) : null}
      <Choice />
      <div class="fields">
        <label class="field">
          <span>Seeds</span>
          <input type="number" min={1} max={8} value={count} onInput={(event) => setCount(Number(event.currentTarget.value) || 1)} />
        </label>
        <label class="field">
          <span>from</span>
          <input type="number" min={0} value={seed} onInput={(event) => setSeed(Number(event.currentTarget.value) || 0)} />
        </label>
        <label class="field">
          <span>Seconds</span>
          <input type="number" min={1} max={9.8} step={0.2} placeholder="auto" value={seconds} onInput={(event) => setSeconds(event.currentTarget.value)} />
        </label>
      </div>
      <button type="submit" class="go" disabled={busy}>
        Make motion
      </button>
      <Upload />
    </form>
  );
}

function Choice() {
  const { generators, chosen } = useKnown();
  const flip = (one: Generator) => {
    const there = chosen.includes(one.id);
    const next = there ? chosen.filter((id) => id !== one.id) : [...chosen, one.id];
    change({ chosen: generators.filter((each) => next.includes(each.id)).map((each) => each.id) });
  };
  return (
    <fieldset class="choice">
      <legend>With; several are shown side by side</legend>
      {generators.map((one) => (
        <label class="tick" key={one.id}>
          <input type="checkbox" checked={chosen.includes(one.id)} onChange={() => flip(one)} /> {one.name}
          {one.origin === "edited" ? <span class="tag">edited</span> : null}
        </label>
      ))}
    </fieldset>
  );
}

function Upload() {
  const { catalogue } = useKnown();
  const suffixes = catalogue?.uploads ?? [];
  const field = useRef<HTMLInputElement>(null);
  const facts = useRef<HTMLDetailsElement>(null);
  const send = async (file: File | undefined) => {
    if (!file) return;
    const body = new FormData();
    body.append("file", file);
    for (const one of facts.current?.querySelectorAll<HTMLInputElement>("[name]") ?? []) body.append(one.name, one.value.trim());
    const made = await attempt(() => call<Motion>("/motions", "POST", body));
    if (made?.job) keep(await attempt(() => call<Job>(`/jobs/${made.job}`)));
    if (field.current) field.current.value = "";
  };
  return (
    <>
      <label class="field">
        <span>Or a motion of your own ({suffixes.join(" ")})</span>
        <input type="file" ref={field} accept={suffixes.join()} onChange={(event) => void send(event.currentTarget.files?.[0])} />
      </label>
      <details class="details" ref={facts}>
        <summary>If a file is read wrongly</summary>
        {Object.entries(catalogue?.source ?? {}).map(([name, text]) => (
          <label class="field" key={name}>
            <span>{text}</span>
            <input name={`source_${name}`} form="" placeholder="auto" autocapitalize="off" />
          </label>
        ))}
        <p class="facts">Set what is wrong, then choose the file again.</p>
      </details>
    </>
  );
}

function History() {
  useKnown();
  const jobs = jobsOf("generate", "look");
  const [shown, setShown] = useState(6);
  if (!jobs.length) {
    return <p class="empty">What you make appears here. Try one of the examples; several generators can be compared at once.</p>;
  }
  return (
    <div class="stack">
      {jobs.slice(0, shown).map((job) => (
        <JobCard job={job} key={job.id}>
          {job.state === "done" ? <Result job={job} /> : null}
        </JobCard>
      ))}
      {jobs.length > shown ? (
        <button type="button" class="switch" onClick={() => setShown(shown + 10)}>
          Show older ones
        </button>
      ) : null}
    </div>
  );
}

const ROWS = 12;

/** One row per prompt, and per seed if several generators are compared. */
function Result({ job }: { job: Job }) {
  const [motions, setMotions] = useState<Motion[]>([]);
  const names = (job.result?.motions ?? []).slice(0, 4 * ROWS);
  useEffect(() => {
    void Promise.all(names.map((id) => attempt(() => call<Motion>(`/motions/${id}`)))).then((found) =>
      setMotions(found.filter((one) => one !== undefined)),
    );
  }, [names.join(" ")]);
  const width = Math.max(new Set(motions.map((one) => one.generator)).size, 1);
  const rows = new Map<string, Motion[]>();
  for (const motion of motions) {
    const key = width > 1 ? `${motion.prompt}\n${motion.seed}` : motion.prompt;
    rows.set(key, [...(rows.get(key) ?? []), motion]);
  }
  return (
    <>
      {[...rows.entries()].map(([key, some]) => (
        <div key={key}>
          {rows.size > 1 ? <h3 dir="auto">{width > 1 ? `${some[0].prompt} · seed ${some[0].seed}` : some[0].prompt}</h3> : null}
          <Players motions={some} label={some[0].prompt} />
        </div>
      ))}
    </>
  );
}
