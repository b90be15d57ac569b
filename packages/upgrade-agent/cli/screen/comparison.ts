/** What comparing versions has shown, as lines for people. Texts of the proxy are the application's: they are cleaned. */
import type { ComparisonReport, RateEstimate, Sample } from "@version-manager/app-proxy/compare";
import type { CompareStatus } from "../../api/contract.ts";
import type { Style } from "./style.ts";
import { table, type Cell } from "./table.ts";

const samplesShown = 5;

export function comparisonScreen(status: CompareStatus, style: Style): string[] {
  const { service, comparisons, gate, faults } = status;
  const verdict =
    gate === undefined
      ? style.dim("the release asks for nothing before a version is retired")
      : faults.length === 0
        ? style.green("what the release asks for is met")
        : style.red(`not enough yet: ${faults.map(clean).join("; ")}`);
  const lines = comparisons.flatMap((report) => reportLines(service, report, style));
  if (lines.length > 0) return [...lines, verdict];
  return [
    `nothing of ${service} is compared: two versions must run, and the proxy module must ask for it`,
    verdict,
  ];
}

function reportLines(service: string, report: ComparisonReport, style: Style): string[] {
  const { baseline, candidate, compared, verdicts, dropped, unanswered, difference, chance } = report;
  const none = difference.count === 0 ? `, so at most ${percent(difference.atMost)}` : "";
  return [
    style.bold(`${service} ${candidate} against ${baseline}`) +
      `: ${compared} compared, ${verdicts.same} same, ${verdicts.noise} but for noise, ` +
      `${verdicts.different} different, ${verdicts.failed} failed at one, ${verdicts.missing} missing at one; ` +
      `${dropped} dropped, ${unanswered} unanswered`,
    `difference ${interval(difference)}${none}; by chance ${interval(chance)}; ` +
      `intervals of ${percent(report.confidence)}`,
    "",
    ...fieldLines(report, style),
    ...report.samples.slice(0, samplesShown).flatMap(sampleLines),
    "",
  ];
}

function fieldLines({ fields, overflow }: ComparisonReport, style: Style): string[] {
  if (fields.length === 0) return [];
  const paint = { different: style.red, "more-than-noise": style.yellow, noise: style.dim };
  const rows = fields.map(({ path, verdict, differing, byChance, proven }): Cell[] => [
    { text: clean(path) },
    { text: verdict === "different" && !proven ? "different, not proven" : verdict, paint: paint[verdict] },
    { text: interval(differing) },
    { text: interval(byChance) },
  ]);
  const more = overflow === 0 ? [] : [`${overflow} more differ in ways that are not kept apart`];
  return [...table([["DIFFERS AT", "VERDICT", "BETWEEN VERSIONS", "BY CHANCE"], ...rows]), ...more, ""];
}

function sampleLines({ request, paths }: Sample): string[] {
  const shown = paths.map(
    ({ path, baseline = "nothing", candidate = "nothing" }) =>
      `  ${clean(path)}: ${clean(baseline)} but ${clean(candidate)}`,
  );
  return [clean(request), ...shown];
}

function interval({ count, of, rate, low, high }: RateEstimate): string {
  return of === 0 ? "unknown" : `${count}/${of} ${percent(rate)} (${percent(low)} … ${percent(high)})`;
}

function percent(rate: number): string {
  return `${Number((rate * 100).toPrecision(2))} %`;
}

/** Others' words go to a terminal: no control characters, no novels. */
function clean(text: string): string {
  const plain = text.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\u{fffd}");
  return plain.length > 160 ? `${plain.slice(0, 160)}…` : plain;
}
