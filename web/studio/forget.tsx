// "Forget": choose generator, concept, method and settings; then compare, keep or delete the edited generators.

import { useState } from "preact/hooks";
import { archiveOf, call, type Generator, type Job, type Method, type Setting } from "./api";
import { duration, JobCard } from "./jobs";
import { attempt, change, go, jobsOf, keep, loadGenerators, useKnown } from "./state";

type Values = Record<string, unknown>;
const RECOMMENDED = "lcr";

export function Forget() {
  const { generators } = useKnown();
  const jobs = jobsOf("unlearn").filter((job) => job.state !== "done");
  const edited = generators.filter((one) => one.origin === "edited");
  return (
    <div class="columns">
      <Form />
      <div class="stack">
        {jobs.map((job) => (
          <JobCard job={job} key={job.id} />
        ))}
        {edited.map((one) => (
          <Edited one={one} key={one.id} />
        ))}
        {!jobs.length && !edited.length ? (
          <p class="empty">A copy of the generator is edited; the original stays as it is. What you make appears here.</p>
        ) : null}
      </div>
    </div>
  );
}

function Form() {
  const { catalogue, generators } = useKnown();
  const [generator, setGenerator] = useState("");
  const [concept, setConcept] = useState("violence");
  const [name, setName] = useState(RECOMMENDED);
  const [data, setData] = useState("");
  const [changed, setChanged] = useState<Record<string, Values>>({});
  const methods = catalogue?.methods ?? [];
  const method = methods.find((one) => one.name === name) ?? methods[0];
  if (!method) return <p class="card side empty">The first worker is starting; the methods appear in a moment.</p>;
  const values = changed[method.name] ?? {};
  const set = (key: string, value: unknown) => setChanged({ ...changed, [method.name]: { ...values, [key]: value } });
  const lacks = method.needs_data && !catalogue?.data.length;
  const send = async () => {
    const settings = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
    const body = { generator: generator || generators[0].id, method: method.name, concept, settings, data: data || null };
    keep(await attempt(() => call<Job>("/edits", "POST", body)));
  };
  const dial = method.settings.find((one) => one.name === "strength");
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
        <span>Concept; several joined by +</span>
        <input id="concept" list="concepts" value={concept} onInput={(event) => setConcept(event.currentTarget.value)} />
        <datalist id="concepts">
          {(catalogue?.concepts ?? []).map((one) => (
            <option value={one} key={one} />
          ))}
        </datalist>
      </label>
      <label class="field">
        <span>Method</span>
        <select id="method" value={method.name} onChange={(event) => setName(event.currentTarget.value)}>
          {methods.map((one) => (
            <option value={one.name} key={one.name}>
              {one.name}
              {one.needs_data ? " (needs data)" : ""}
            </option>
          ))}
        </select>
        <span class="facts">{method.about}</span>
      </label>
      {catalogue?.data.length ? (
        <label class="field">
          <span>Data to learn the concept from</span>
          <select value={data} onChange={(event) => setData(event.currentTarget.value)}>
            <option value="">what the generator ships</option>
            {catalogue.data.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
      ) : null}
      {dial ? <Dial value={Number(values.strength ?? dial.default)} most={dial.maximum ?? 2} set={(v) => set("strength", v)} /> : null}
      <Details method={method} values={values} set={set} />
      {lacks ? (
        <p class="facts">
          This method trains. Start the studio with a data set: <code>exuvia studio --data mocap stores/mocap</code>
        </p>
      ) : null}
      <button type="submit" class="go" disabled={lacks || (method.needs_data && !data)}>
        Make it forget
      </button>
    </form>
  );
}

function Dial({ value, most, set }: { value: number; most: number; set: (value: number) => void }) {
  return (
    <label class="field">
      <span>
        Strength <output>{value.toFixed(2)}</output>
      </span>
      <input
        type="range"
        class="dial"
        min={0}
        max={most}
        step={0.05}
        value={value}
        aria-label="Strength"
        onInput={(event) => set(Number(event.currentTarget.value))}
      />
      <span class="facts">0 changes nothing, 1 is the method as it is meant</span>
    </label>
  );
}

function Details({ method, values, set }: { method: Method; values: Values; set: (key: string, value: unknown) => void }) {
  const rest = method.settings.filter((one) => one.name !== "strength");
  if (!rest.length) return null;
  return (
    <details class="details">
      <summary>More settings</summary>
      {rest.map((one) => (
        <label class="field" key={`${method.name}.${one.name}`} title={one.about}>
          <span>{one.name.replaceAll("_", " ")}</span>
          <Field one={one} value={values[one.name]} set={(value) => set(one.name, value)} />
        </label>
      ))}
    </details>
  );
}

function read(one: Setting, text: string): unknown {
  if (text === "") return undefined;
  const single = (part: string): unknown => (one.type === "int" || one.type === "float" ? Number(part) : part.trim());
  return one.many ? text.split(",").filter((part) => part.trim()).map(single) : single(text);
}

export function Field({ one, value, set }: { one: Setting; value: unknown; set: (value: unknown) => void }) {
  const now = value ?? one.default;
  if (one.type === "bool") {
    return <input type="checkbox" checked={Boolean(now)} onChange={(event) => set(event.currentTarget.checked)} />;
  }
  if (one.type === "choice") {
    return (
      <select value={String(now)} onChange={(event) => set(event.currentTarget.value)}>
        {one.choices.map((each) => (
          <option key={String(each)}>{String(each)}</option>
        ))}
      </select>
    );
  }
  const shown = one.many ? ((now as unknown[]) ?? []).join(", ") : now === null ? "" : String(now);
  return <input value={shown} placeholder={one.optional ? "auto" : ""} onChange={(event) => set(read(one, event.currentTarget.value))} />;
}

/** An edited generator with its actions. */
function Edited({ one }: { one: Generator }) {
  const { generators, catalogue } = useKnown();
  const parent = generators.find((each) => each.id === one.parent);
  const codes = Object.values(one.facts.replaced ?? {}).flat().length;
  const facts = [
    one.facts.edit_s === undefined ? "" : `edited in ${one.facts.edit_s < 1 ? one.facts.edit_s.toFixed(2) + " s" : duration(one.facts.edit_s)}`,
    codes ? `${codes} codes replaced` : "",
    parent ? `from ${parent.name}` : "",
  ].filter(Boolean);
  const compare = () => {
    const others = generators.filter((each) => each.name.startsWith("retrain")).map((each) => each.id);
    const chosen = [one.parent, one.id, ...others].filter((id): id is string => id !== null);
    change({ chosen, prompt: catalogue?.examples[0] ?? "" });
    go("make");
  };
  const report = async () => {
    const job = keep(await attempt(() => call<Job>("/evaluations", "POST", { generator: one.id })));
    if (job) change({ report: job.id });
    if (job) go("report");
  };
  const patch = async (body: { kept?: boolean; name?: string }) => {
    await attempt(() => call(`/generators/${one.id}`, "PATCH", body));
    await loadGenerators();
  };
  const drop = async () => {
    if (one.kept && !confirm(`Throw ${one.name} away, although it is marked as one to keep?`)) return;
    await attempt(() => call(`/generators/${one.id}`, "DELETE"));
    await loadGenerators();
  };
  return (
    <article class="job done" data-generator={one.id} aria-label={one.name}>
      <header>
        <h2>{one.name}</h2>
        {one.kept ? <span class="tag">kept</span> : null}
      </header>
      <p class="facts">{facts.join(" · ")}</p>
      <div class="actions">
        <button type="button" class="switch compare" onClick={compare}>
          Compare with the original
        </button>
        <button type="button" class="switch" onClick={() => void report()}>
          Report
        </button>
        <a class="switch" href={archiveOf(one.id)} download>
          Download
        </a>
        <button type="button" class="switch" aria-pressed={one.kept} onClick={() => void patch({ kept: !one.kept })}>
          Keep
        </button>
        <button type="button" class="switch quiet" onClick={() => void drop()}>
          Throw away
        </button>
      </div>
    </article>
  );
}
