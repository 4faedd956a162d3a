/** The component ablation: 43 runs of a vanilla transformer of depth 32, and its replica at the scale of a laptop. */
import type { PublishedMean, StudyEntry } from "./entry.ts";
import { ABLATION, AGREEMENT, DENSE, DIVISORS } from "./published.ts";

const TOPOLOGIES = ["moeut", "onegroup", "twogroup", "threegroup", "fourgroups1", "sevengroups1"] as const;
const MODES = ["alltie", "attntie", "experttie"] as const;
/** The topology of the questions that are asked of one topology only. */
const QUESTIONED = "fourgroups1";

/** What differs from entry to entry; the rest follows from it. */
type Part = Pick<StudyEntry, "section" | "variant" | "topology" | "mode" | "published"> & {
  config: string;
  divisor?: StudyEntry["divisor"];
};

/** The 18 variants of a granularity: the untied model, and each topology in each mode that it has. */
function grid(section: string, config: string, published: Readonly<Record<string, number>>): Part[] {
  const part = (variant: string, topology: string, mode?: string): Part => ({
    section,
    config,
    variant,
    topology,
    ...(mode === undefined ? {} : { mode }),
    published: published[variant] === undefined ? null : { loss: published[variant] },
  });
  return [
    part("baseline_32", "baseline"),
    ...TOPOLOGIES.flatMap((topology) =>
      MODES
        .filter((mode) => topology !== "moeut" || mode !== "experttie") // every layer of moeut is looped: not published
        .map((mode) => part(`${topology}_32_${mode}`, topology, mode))
    ),
  ];
}

const divisors: Part[] = (["none", "linear"] as const).flatMap((divisor) =>
  MODES.map((mode): Part => ({
    section: "divisor",
    config: "small",
    variant: `${QUESTIONED}_32_${mode}-${divisor}`,
    topology: QUESTIONED,
    mode,
    divisor,
    published: null, // only the mean over the modes is: see publishedMeans
  }))
);

const dense = (config: string): Part => ({
  section: "dense",
  config,
  variant: "dense_baseline_32",
  topology: "baseline",
  published: { loss: DENSE },
});

/** Attention tied, routers and experts free: the arm that the paper never ran. */
const attentionOnly: Part = {
  section: "attention-only",
  config: "nano",
  variant: `${QUESTIONED}_32_attnonly`,
  topology: QUESTIONED,
  mode: "attnonly",
  published: null,
};

function entry({ config, ...part }: Part, study: StudyEntry["study"], baseline: string, seed?: number): StudyEntry {
  const end = seed === undefined ? "" : `/seed-${seed}`;
  return {
    name: `ablation/${config}/${part.variant}${end}`,
    study,
    architecture: "vanilla",
    divisor: "sqrt",
    ...part,
    ...(seed === undefined ? {} : { seed }),
    baseline: `ablation/${baseline}/baseline_32${end}`,
  };
}

/** The published grid: fine 18, coarse 18, divisor 6, dense 1. */
export const ablation: readonly StudyEntry[] = [
  ...grid("fine", "small", ABLATION.fine).map((part) => entry(part, "ablation", "small")),
  ...grid("coarse", "small-coarse", ABLATION.coarse).map((part) => entry(part, "ablation", "small-coarse")),
  ...divisors.map((part) => entry(part, "ablation", "small")),
  entry(dense("small-dense"), "ablation", "small"),
];

/** The replica: fine 18, dense and attention only, with three seeds. Seeds outermost: a study cut short has whole ones. */
export const nano: readonly StudyEntry[] = [1, 2, 3].flatMap((seed) =>
  [...grid("fine", "nano", ABLATION.fine), dense("nano-dense"), attentionOnly]
    .map((part) => entry(part, "nano", "nano", seed))
);

/** What is published of several runs together, for a study with the configuration `config`. */
function means(config: string): PublishedMean[] {
  const byMode = (mode: string) => TOPOLOGIES.map((topology) => `ablation/${config}/${topology}_32_${mode}`);
  return [
    { label: "all-tie (mean)", section: "fine", of: byMode("alltie"), agreement: AGREEMENT.alltie },
    {
      label: "expert-tie (mean)",
      section: "fine",
      of: byMode("experttie").filter((name) => !name.includes("moeut")),
      agreement: AGREEMENT.experttie,
    },
  ];
}

/** Published means of both studies. The divisor sqrt is that of the fine grid. */
export const ablationMeans: Readonly<Record<"ablation" | "nano", readonly PublishedMean[]>> = {
  ablation: [
    ...means("small"),
    ...(["sqrt", "linear", "none"] as const).map((divisor) => ({
      label: `${QUESTIONED} ${divisor} (mean)`,
      section: "divisor",
      of: MODES.map((mode) => `ablation/small/${QUESTIONED}_32_${mode}${divisor === "sqrt" ? "" : `-${divisor}`}`),
      loss: DIVISORS[divisor],
    })),
  ],
  nano: means("nano"),
};
