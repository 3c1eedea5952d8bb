// node collect.mjs URL WRITE_KEY: Segment's Node SDK sends one message of four types.
import { Analytics } from "@segment/analytics-node";

const [host, writeKey] = process.argv.slice(2);
const analytics = new Analytics({ host, writeKey, flushAt: 4 });
const errors = [];
analytics.on("error", (error) => errors.push(String(error.reason ?? error)));
analytics.identify({ userId: "grace", traits: { plan: "free" } });
analytics.track({ userId: "grace", event: "Signed Up" });
analytics.page({ anonymousId: "a-1", name: "Start" });
analytics.alias({ userId: "grace", previousId: "a-1" });
await analytics.closeAndFlush({ timeout: 10000 });
console.log(JSON.stringify({ errors }));
