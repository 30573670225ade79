// A client in the types that openapi-typescript makes of /openapi.json: this must compile, and
// what is marked must not.
import type { components, paths } from "./clickmill";

type Schemas = components["schemas"];
type Clicks = paths["/v1/metrics/clicks"]["get"];
type Question = Clicks["parameters"]["query"];
type Answer = Clicks["responses"][200]["content"]["application/json"];

const question: Question = { from: "2026-06-24", to: 1782295200412, ad_id: "ad_1", granularity: "1h" };
// @ts-expect-error: a range is needed
const endless: Question = { ad_id: "ad_1" };
// @ts-expect-error: there are no weeks
const weekly: Question = { from: 0, to: 1, granularity: "1w" };

export function busiest(answer: Answer): [string, number] | undefined {
  let best: Schemas["Bucket"] | undefined;
  for (const bucket of answer.data) {
    if (!best || bucket.click_count > best.click_count) best = bucket;
  }
  const visitors: number | undefined = answer.total.unique_users;
  return best && [best.window_start, visitors ?? best.click_count];
}

export function nextPage(page: Schemas["ReviewPage"]): string | undefined {
  for (const click of page.data) {
    if (click.reason === "double_click") console.log(click.id, click.ad_id);
    // @ts-expect-error: no such reason
    if (click.reason === "bored") console.log(click.id);
  }
  // @ts-expect-error: it may be null
  const next: string = page.next;
  return page.next ?? undefined ?? (next && undefined);
}

type Put = paths["/v1/ads/{ad_id}"]["put"];
export const ad: Put["requestBody"]["content"]["application/json"] = {
  advertiser_id: "adv_1", ad_format: "banner", redirect_url: "https://example.com/",
};
export const made = (answer: Put["responses"][201]["content"]["application/json"]): string => answer.redirect_url;
export const why = (problem: Schemas["Problem"]): string => `${problem.status} ${problem.field ?? ""}: ${problem.detail}`;
export const questions = [question, endless, weekly];
