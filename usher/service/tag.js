// Usher's tag for pages:  <script async src="https://HOST/v1/tag.js?key=WRITE_KEY"></script>
// It sends page views, clicks on elements marked with data-usher-click="Event Name" (their other data-usher-*
// attributes become properties), and how long a page was looked at. window.usher has track, identify, page, alias,
// reset and consent for everything else. What could not be sent is kept in the browser and sent again, with its
// messageId, so that nothing is counted twice.
(function () {
  "use strict";
  var script = document.currentScript;
  var source = new URL(script.src);
  var key = source.searchParams.get("key");
  var endpoint = source.origin + "/v1/batch";
  var BATCH = 50, KEPT = 500, BEACON_BYTES = 60000, FLUSH_MS = 1000, RETRY_MS = 1000, RETRY_MAX_MS = 60000;
  var memory = {};

  // a browser may forbid storage: then what is kept lasts as long as the page
  function read(name) {
    try { return JSON.parse(localStorage.getItem("usher." + name)); } catch (_) { return memory[name]; }
  }
  function write(name, value) {
    memory[name] = value;
    try { localStorage.setItem("usher." + name, JSON.stringify(value)); } catch (_) { /* memory has it */ }
  }
  function uuid() {
    if (window.crypto && crypto.randomUUID) return crypto.randomUUID();  // pages on https and on localhost
    return "10000000-1000-4000-8000-100000000000".replace(/[018]/g, function (c) {
      return (+c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (+c / 4)))).toString(16);
    });
  }

  var queue = read("queue") || [];
  var flying = null, wait = RETRY_MS, timer = null;

  function anonymousId() {
    var id = read("anonymousId");
    if (!id) write("anonymousId", id = uuid());
    return id;
  }
  function context() {
    var found = {
      library: { name: "usher-tag", version: "1" },
      locale: navigator.language,
      userAgent: navigator.userAgent,
      page: { path: location.pathname, url: location.origin + location.pathname, title: document.title,
              referrer: document.referrer }
    };
    var preferences = read("consent");
    if (preferences) found.consent = { categoryPreferences: preferences };
    return found;
  }
  function enqueue(message) {
    message.messageId = uuid();
    message.timestamp = new Date().toISOString();
    message.anonymousId = anonymousId();
    var userId = message.userId || read("userId");
    if (userId) message.userId = userId;
    message.context = context();
    queue.push(message);
    if (queue.length > KEPT) queue.splice(0, queue.length - KEPT);
    write("queue", queue);
    schedule(queue.length >= BATCH ? 0 : FLUSH_MS);
  }
  function schedule(ms) {
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(flush, ms);
  }
  function body(messages) {
    return JSON.stringify({ writeKey: key, batch: messages, sentAt: new Date().toISOString() });
  }
  function done(messages) {
    var ids = {};
    messages.forEach(function (message) { ids[message.messageId] = true; });
    queue = queue.filter(function (message) { return !ids[message.messageId]; });
    write("queue", queue);
  }
  function again(seconds) {
    schedule(seconds ? seconds * 1000 : wait);
    wait = Math.min(wait * 2, RETRY_MAX_MS);
  }
  function flush() {
    timer = null;
    if (flying || !queue.length) return;
    var messages = flying = queue.slice(0, BATCH);
    // text/plain needs no question to the server beforehand (CORS), which would double the requests
    fetch(endpoint, { method: "POST", body: body(messages), headers: { "Content-Type": "text/plain" } })
      .then(function (answer) {
        flying = null;
        if (answer.status === 429 || answer.status >= 500) return again(+answer.headers.get("Retry-After"));
        done(messages);  // taken, or so wrong that sending it again would not help
        wait = RETRY_MS;
        if (queue.length) schedule(0);
      })
      .catch(function () { flying = null; again(); });
  }
  // When the page goes away there is no time for an answer; what the browser takes over counts as sent.
  function leave() {
    for (;;) {
      var messages = queue.filter(function (message) { return !flying || flying.indexOf(message) < 0; }).slice(0, BATCH);
      if (!messages.length) return;
      var text = body(messages);
      while (text.length > BEACON_BYTES && messages.length > 1) {
        messages = messages.slice(0, messages.length >> 1);
        text = body(messages);
      }
      if (!navigator.sendBeacon(endpoint, text)) return;
      done(messages);
    }
  }

  var seen = 0, since = document.visibilityState === "visible" ? Date.now() : null;
  function looked() {
    if (since !== null) { seen += Date.now() - since; since = null; }
    return seen;
  }
  function track(event, properties) { enqueue({ type: "track", event: event, properties: properties || {} }); }

  window.usher = {
    track: track,
    page: function (name, properties) { enqueue({ type: "page", name: name, properties: properties || {} }); },
    identify: function (userId, traits) {
      write("userId", userId);
      enqueue({ type: "identify", userId: userId, traits: traits || {} });
    },
    alias: function (userId, previousId) {
      enqueue({ type: "alias", userId: userId, previousId: previousId || read("userId") || anonymousId() });
      write("userId", userId);
    },
    consent: function (preferences) { write("consent", preferences); track("Consent Changed"); },
    reset: function () { write("userId", null); write("anonymousId", null); },
    flush: flush
  };

  document.addEventListener("click", function (event) {
    var element = event.target.closest && event.target.closest("[data-usher-click]");
    if (!element) return;
    var properties = {};
    Object.keys(element.dataset).forEach(function (name) {
      if (name.indexOf("usher") !== 0 || name === "usherClick") return;
      var property = name.slice(5).replace(/[A-Z]/g, function (c, at) { return (at ? "_" : "") + c.toLowerCase(); });
      properties[property] = element.dataset[name];
    });
    track(element.dataset.usherClick, properties);
  }, true);
  document.addEventListener("visibilitychange", function () {
    if (document.visibilityState === "visible") { since = Date.now(); return; }
    if (looked() > 0) track("Page Looked At", { dwell_ms: seen, path: location.pathname });
    seen = 0;
    leave();
  });
  window.addEventListener("online", function () { schedule(0); });
  window.usher.page();
})();
