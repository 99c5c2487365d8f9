// Players of the studio: motions next to each other, on the stage that all rows of the page share.

import { createContext } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import type { PanelData, Skeleton } from "../src/data";
import { Row } from "../src/row";
import { PlayerGroup } from "../src/players";
import { call, fileOf, type Label, type Motion } from "./api";
import { Field } from "./forget";
import { attempt, known, saveAs, useKnown } from "./state";

export const PlayersContext = createContext<PlayerGroup | null>(null);

export function openPlayers(skeleton: Skeleton, bar: HTMLElement): PlayerGroup | null {
  try {
    return new PlayerGroup(skeleton, bar, { home: false, playAll: true, contacts: true });
  } catch (error) {
    document.documentElement.dataset.fault = String(error);
    return null;
  }
}

export function panelOf(motion: Motion): PanelData {
  const { codes, replaced, counts, concept, moments, intervals, contacts } = motion.detail;
  return { clip: { ...motion.clip, contacts }, codes, replaced, counts, concept, moments, intervals };
}

/** Motions of one prompt in one row with a shared clock. */
export function Players({ motions, label }: { motions: Motion[]; label: string }) {
  const players = useContext(PlayersContext);
  const section = useRef<HTMLElement>(null);
  const names = motions.map((one) => one.id).join(" ");
  useEffect(() => {
    if (!players || !section.current || !known.catalogue) return undefined;
    const element = section.current;
    const row = new Row(element, motions.map(panelOf), known.catalogue.skeleton, true, (each) => (players.active = each));
    players.add(row);
    players.active = row;
    if (!players.still) row.toggle(true);
    return () => {
      players.remove(row);
      for (const place of element.querySelectorAll(".screen, .ribbon, .strip, .timeline")) place.replaceChildren();
    };
  }, [players, names]);
  return (
    <section class="row" data-row="0" ref={section} aria-label={label}>
      <div class="panels" style={{ "--panels": String(Math.min(motions.length, 4)) }}>
        {motions.map((motion) => (
          <Panel key={motion.id} motion={motion} several={new Set(motions.map((one) => one.seed)).size > 1} />
        ))}
      </div>
      <div class="timeline" />
    </section>
  );
}

function Panel({ motion, several }: { motion: Motion; several: boolean }) {
  const { generators } = useKnown();
  const name = generators.find((one) => one.id === motion.generator)?.name ?? (motion.job ? "thrown away" : "");
  const title = motion.generator === null ? "uploaded" : name;
  return (
    <figure data-name={`${title}, seed ${motion.seed ?? ""}`} data-motion={motion.id}>
      <figcaption>
        <span class="name" title={title}>
          {title}
          {several && motion.seed !== null ? <span class="facts"> · seed {motion.seed}</span> : null}
        </span>
        <Verdict motion={motion} />
      </figcaption>
      <div class="screen" />
      {motion.detail.moments?.length ? <div class="strip violence" role="group" aria-label="violence by moment" /> : null}
      {motion.detail.codes.length ? (
        <div
          class="ribbon"
          role="group"
          aria-label={`${motion.detail.codes.length} motion codes, ${motion.detail.replaced.length} replaced`}
        />
      ) : null}
      {motion.detail.intervals?.length ? <div class="strip intervals" role="group" aria-label="learned intervals" /> : null}
      <Actions motion={motion} />
      {motion.understood ? <Understood motion={motion} /> : null}
    </figure>
  );
}

/** How an uploaded file was read, and what may be wrong about that. */
function Understood({ motion }: { motion: Motion }) {
  return (
    <>
      {motion.doubts.map((doubt) => (
        <p class="status-text" key={doubt}>
          <strong>Sure?</strong> {doubt}
        </p>
      ))}
      <details class="details">
        <summary>How the file was read</summary>
        <pre>{motion.understood}</pre>
      </details>
    </>
  );
}

/** The classifier's score of the whole motion. */
function Verdict({ motion }: { motion: Motion }) {
  const { catalogue } = useKnown();
  if (motion.violence === null) return <span class="facts">not judged</span>;
  const seen = catalogue?.threshold != null && motion.violence >= catalogue.threshold;
  const percent = Math.round(100 * motion.violence);
  return <span class={seen ? "verdict seen" : "verdict"}>{`${seen ? "violent" : "harmless"} ${percent} %`}</span>;
}

const MARKS: [Label, string, string][] = [
  ["violent", "Violent", "It shows violence, whatever the classifier says"],
  ["false_alarm", "False alarm", "The classifier is wrong: there is no violence in it"],
];

export function Marks({ motion, changed }: { motion: { id: string; label: Label | null }; changed: (label: Label | null) => void }) {
  const mark = async (label: Label) => {
    const next = motion.label === label ? null : label;
    const done = await attempt(() => call<Motion>(`/motions/${motion.id}/mark`, "PUT", { label: next }));
    if (done) changed(done.label);
  };
  return (
    <span class="marks">
      {MARKS.map(([label, text, title]) => (
        <button
          type="button"
          class="switch small"
          key={label}
          title={title}
          aria-pressed={motion.label === label}
          onClick={() => void mark(label)}
        >
          {text}
        </button>
      ))}
    </span>
  );
}

const FORMATS: [string, string][] = [
  ["glb", "GLB"],
  ["bvh", "BVH"],
  ["mp4", "MP4"],
  ["gif", "GIF"],
  ["npy", "NPY, joints"],
  ["npz", "NPZ, features"],
  ["html", "HTML player"],
  ["png", "PNG strip"],
];

/** Switches of downloads, and the formats that they are for. */
const SWITCHES: Record<string, string[] | null> = { rig: ["glb", "bvh"], root_bone: ["glb", "bvh"], unit: ["bvh"], in_place: null, loop: null };

function Actions({ motion }: { motion: Motion }) {
  const { saving, catalogue } = useKnown();
  const [label, setLabel] = useState(motion.label);
  const formats = FORMATS.filter(([name]) => catalogue?.formats.includes(name));
  const form = formats.some(([name]) => name === saving.form) ? String(saving.form) : "glb";
  const lock = saving.foot_lock === true;
  const offered = (catalogue?.output ?? []).filter(({ name }) => name in SWITCHES && (SWITCHES[name]?.includes(form) ?? true));
  const chosen = offered.filter(({ name, type, choices, default: usual }) => {
    const value = saving[name];
    return value !== usual && (type === "bool" ? value === true : choices.includes(value as string));
  });
  const switches = Object.fromEntries(chosen.map(({ name }) => [name, String(saving[name])]));
  const title = chosen.map(({ name, type }) => (type === "bool" ? name.replace("_", " ") : String(saving[name]))).join(", ");
  return (
    <div class="actions">
      <span class="export">
        <select aria-label="Format" value={form} onChange={(event) => saveAs("form", event.currentTarget.value)}>
          {formats.map(([name, text]) => (
            <option value={name} key={name}>
              {text}
            </option>
          ))}
        </select>
        <label class="tick" title="Feet that stand, stand still">
          <input type="checkbox" checked={lock} onChange={(event) => saveAs("foot_lock", event.currentTarget.checked)} /> lock feet
        </label>
        <a class="switch small download" href={fileOf(motion.id, { form, foot_lock: String(lock), ...switches })} download>
          Download
        </a>
      </span>
      <Marks motion={{ id: motion.id, label }} changed={setLabel} />
      <details class="details finish">
        <summary>For other programs{title ? `: ${title}` : ""}</summary>
        {offered.map((one) => (
          <label class="tick" key={one.name} title={one.about}>
            {one.type === "bool" ? "" : one.name}
            <Field one={one} value={chosen.includes(one) ? saving[one.name] : undefined} set={(value) => saveAs(one.name, value)} />
            {one.type === "bool" ? one.name.replace("_", " ") : ""}
          </label>
        ))}
      </details>
    </div>
  );
}
