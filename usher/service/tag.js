// Usher's tag for pages:  <script async src="https://HOST/v1/tag.js?key=WRITE_KEY"></script>
// It sends page views, clicks on elements marked with data-usher-click="Event Name" (their other data-usher-*
// attributes become properties), and how long a page was looked at. window.usher has track, identify, page, alias,
// reset and consent for everything else. What could not be sent is kept in the browser, the newest 500 messages, and
// sent again, with its messageId, so that nothing is counted twice. With data-consent="wait" on the script nothing is
// stored and nothing sent until usher.consent({category: true}) is called.
(function () {
  "use strict";
  var script = document.currentScript;
  var source = new URL(script.src);
  var key = source.searchParams.get("key");
  var endpoint = source.origin + "/v1/batch";
  var BATCH = 50, KEPT = 500, BATCH_BYTES = 400000, BEACON_BYTES = 60000;
  var FLUSH_MS = 1000, RETRY_MS = 1000, RETRY_MAX_MS = 60000;
  // browsers let a hidden page's timers run once a minute: who has not been heard of for three is gone
  var BEAT_MS = 30000, GONE_MS = 180000;
  var memory = {}, waiting = false;

  // a browser may forbid storage, and who waits for consent uses none: then what is kept lasts as long as the page
  function read(name) {
    if (waiting) return memory[name];
    try { return JSON.parse(localStorage.getItem("usher." + name)); } catch (_) { return memory[name]; }
  }
  function write(name, value) {  // whether it is stored
    memory[name] = value;
    if (waiting) return false;
    try {
      if (value === null) localStorage.removeItem("usher." + name);
      else localStorage.setItem("usher." + name, JSON.stringify(value));
      return true;
    } catch (_) { return false; }
  }
  function given(preferences) {
    return Object.keys(preferences || {}).some(function (category) { return preferences[category] === true; });
  }
  function uuid() {
    if (window.crypto && crypto.randomUUID) return crypto.randomUUID();  // pages on https and on localhost
    return "10000000-1000-4000-8000-100000000000".replace(/[018]/g, function (c) {
      return (+c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (+c / 4)))).toString(16);
    });
  }

  var mine = "queue." + uuid();  // pages in other tabs have their own: they would overwrite each other's
  var queue = [], held = [];  // to be sent; to be sent once there is consent
  var flying = null, limit = BATCH, wait = RETRY_MS, timer = null;

  var stored = false, gone = false;

  function keep() {
    var was = waiting;
    waiting = false;  // what is in the queue came with consent, or is its withdrawal
    stored = write(mine, queue.length ? { at: gone ? 0 : Date.now(), messages: queue } : null);
    waiting = was;
  }
  // What a page that is gone could not send. Two that adopt it at once both send it: its messageIds count once.
  function adopt() {
    var names = [];
    try { names = Object.keys(localStorage); } catch (_) { return; }
    names.forEach(function (name) {
      if (name.indexOf("usher.queue.") !== 0 || name === "usher." + mine) return;
      try {
        var left = JSON.parse(localStorage.getItem(name));
        if (!left || Date.now() - left.at < GONE_MS) return;
        queue = left.messages.concat(queue).slice(-KEPT);
        keep();
        localStorage.removeItem(name);
      } catch (_) { /* another page was faster, or wrote what is none */ }
    });
    if (queue.length) schedule(0);
  }
  // Back from the browser's cache of pages, or from sleep: what another page adopted meanwhile is not ours any more.
  function back() {
    gone = false;
    if (stored && !flying && read(mine) === null) queue = [];
    keep();
  }

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
    var line = waiting ? held : queue;
    line.push(message);
    if (line.length > KEPT) line.splice(0, line.length - KEPT);
    if (waiting) return;
    keep();
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
    keep();
  }
  // As many of these messages as fit, one at least.
  function packed(messages, bytes) {
    while (messages.length > 1 && body(messages).length > bytes) messages = messages.slice(0, messages.length >> 1);
    return messages;
  }
  function again(seconds) {
    schedule(seconds ? seconds * 1000 : wait);
    wait = Math.min(wait * 2, RETRY_MAX_MS);
  }
  function flush() {
    timer = null;
    if (flying || !queue.length) return;
    var messages = flying = packed(queue.slice(0, limit), BATCH_BYTES);
    // text/plain needs no question to the server beforehand (CORS), which would double the requests
    fetch(endpoint, { method: "POST", body: body(messages), headers: { "Content-Type": "text/plain" } })
      .then(function (answer) {
        flying = null;
        if (answer.status === 429 || answer.status >= 500) return again(+answer.headers.get("Retry-After"));
        if (answer.status === 413 && messages.length > 1) {
          limit = messages.length >> 1;
          return schedule(0);
        }
        done(messages);  // taken, or so wrong that sending it again would not help
        wait = RETRY_MS;
        limit = Math.min(limit * 2, BATCH);
        if (queue.length) schedule(0);
      })
      .catch(function () { flying = null; again(); });
  }
  // When the page goes away there is no time for an answer; what the browser takes over counts as sent.
  function leave() {
    for (;;) {
      var messages = queue.filter(function (message) { return !flying || flying.indexOf(message) < 0; });
      if (!messages.length) return;
      messages = packed(messages.slice(0, limit), BEACON_BYTES);
      if (!navigator.sendBeacon(endpoint, body(messages))) return;
      done(messages);
    }
  }

  var seen = 0, since = document.visibilityState === "visible" ? Date.now() : null;
  function looked() {
    if (since !== null) { seen += Date.now() - since; since = null; }
    return seen;
  }
  function forget() { write("userId", null); write("anonymousId", null); }
  function release(preferences) {
    waiting = false;
    Object.keys(memory).forEach(function (name) { write(name, memory[name]); });
    held.forEach(function (message) { message.context.consent = { categoryPreferences: preferences }; });
    queue = queue.concat(held);
    held = [];
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
    consent: function (preferences) {
      if (waiting && !given(preferences)) { held = []; memory = {}; return; }
      if (waiting) release(preferences);
      write("consent", preferences);
      track("Consent Changed");
      if (waits && !given(preferences)) { forget(); waiting = true; }
    },
    reset: forget,
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
    if (document.visibilityState === "visible") { since = Date.now(); back(); return; }
    if (looked() > 0) track("Page Looked At", { dwell_ms: seen, path: location.pathname });
    seen = 0;
    leave();
  });
  window.addEventListener("online", function () { schedule(0); });
  window.addEventListener("pagehide", function () { gone = true; keep(); });  // the next page adopts it at once
  window.addEventListener("pageshow", function (event) { if (event.persisted) back(); });
  setInterval(function () { back(); adopt(); }, BEAT_MS);

  var waits = script.dataset.consent === "wait";
  waiting = waits && !given(read("consent"));
  adopt();
  window.usher.page();
})();
