// node decisions.mjs URL READ_KEY USER: what OpenFeature's Node client makes of the decision API, as JSON.
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";

const [url, key, user] = process.argv.slice(2);
const provider = (secret) => new OFREPProvider({ baseUrl: url, headers: [["Authorization", `Bearer ${secret}`]] });
await OpenFeature.setProviderAndWait("usher", provider(key));
await OpenFeature.setProviderAndWait("denied", provider("wrong"));
const client = OpenFeature.getClient("usher");
const context = { targetingKey: user };
console.log(JSON.stringify({
  highlight: await client.getStringDetails("feature_highlight", "fallback", context),
  steps: await client.getObjectDetails("step_order", {}, context),
  missing: await client.getStringDetails("footer", "fallback", context),
  denied: await OpenFeature.getClient("denied").getStringDetails("next_step", "fallback", context),
}));
