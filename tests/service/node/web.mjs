// OpenFeature's web client in a page: window.ask(url, readKey) initializes it and refreshes once.
import { OpenFeature } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";

window.ask = async (baseUrl, key) => {
  const statuses = [];
  const fetchImplementation = async (input, init) => {
    const answer = await fetch(input, init);
    statuses.push(answer.status);
    return answer;
  };
  const provider = new OFREPWebProvider({
    baseUrl, fetchImplementation, pollInterval: 500, headers: [["Authorization", `Bearer ${key}`]],
  });
  await OpenFeature.setContext({ targetingKey: "visitor-of-the-page", locale: "de-DE" });
  await OpenFeature.setProviderAndWait(provider);
  const first = OpenFeature.getClient().getStringDetails("welcome_message", "fallback");
  while (statuses.length < 2) await new Promise((resume) => setTimeout(resume, 50));
  await provider.onClose?.();
  return { first, statuses: statuses.slice(0, 2) };
};
