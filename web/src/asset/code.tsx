import { useSignal } from "@preact/signals";

import type { Asset } from "../api";
import { Icon } from "../icons";

type Language = "curl" | "Node.js" | "Python";

/** Quotes for a POSIX shell. */
const quoted = (text: string) => (/^[\w./:@=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** The lines that fetch this asset. The key is not among them: it is read from the environment. */
function lines(language: Language, { _id, filename }: Asset): string {
  const base = `${location.origin}/v1.3`;
  switch (language) {
    case "curl":
      return [
        `curl ${base}/assets/${_id} -H "x-api-key: $KEY"`,
        `curl ${base}/assets/${_id}/content -H "x-api-key: $KEY" -o ${quoted(filename)}`,
      ].join("\n");
    case "Node.js":
      return [
        `// npm install twelvelabs-js; TWELVELABS_BASE_URL=${base}`,
        `import { TwelveLabs } from "twelvelabs-js";`,
        `const client = new TwelveLabs({ apiKey: process.env.KEY });`,
        `const asset = await client.assets.retrieve("${_id}");`,
      ].join("\n");
    case "Python":
      return [
        `# pip install twelvelabs`,
        `import os`,
        `from twelvelabs import TwelveLabs`,
        `client = TwelveLabs(api_key=os.environ["KEY"], base_url="${base}")`,
        `asset = client.assets.retrieve("${_id}")`,
      ].join("\n");
  }
}

export function Code({ asset }: { asset: Asset }) {
  const language = useSignal<Language>("curl");
  const text = lines(language.value, asset);
  return (
    <section class="card fetch" aria-labelledby="code-title">
      <div class="card-head">
        <h2 id="code-title">Fetch it</h2>
        <fieldset class="kinds small">
          <legend class="unseen">Language</legend>
          {(["curl", "Node.js", "Python"] as const).map((each) => (
            <label key={each}>
              <input type="radio" name="language" checked={language.value === each} onChange={() => (language.value = each)} />
              <span>{each}</span>
            </label>
          ))}
        </fieldset>
        <Copy text={text} />
      </div>
      <pre class="code" tabIndex={0} role="region" aria-label={`The ${language.value} lines`}>{text}</pre>
      <p class="help">
        Its id is <code class="breaks">{asset._id}</code>. All of the API: <a href="/docs">/docs</a>.
      </p>
    </section>
  );
}

function Copy({ text }: { text: string }) {
  const done = useSignal("");
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      done.value = "Copied";
    } catch {
      // Without TLS a browser may have no clipboard for pages.
      done.value = "Select it and copy by hand";
    }
    setTimeout(() => (done.value = ""), 2000);
  }
  return (
    <button class="quiet small" onClick={copy}>
      <Icon name={done.value === "Copied" ? "check" : "copy"} />
      <span role="status">{done.value || "Copy"}</span>
    </button>
  );
}
