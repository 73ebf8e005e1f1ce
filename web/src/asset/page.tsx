import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { type Asset, ask, changes, type Fault, kindOf, type Rendition } from "../api";
import { Icon } from "../icons";
import { asFault, Problem } from "../problem";
import { lastLibrary } from "../router";
import { clock, exactly, since, size } from "../words";
import { Code } from "./code";
import { Facts } from "./facts";
import { Metadata } from "./metadata";
import { Player } from "./player";
import { References } from "./references";
import { Remove } from "./remove";

export function AssetPage({ id }: { id: string }) {
  const asset = useSignal<Asset | null>(null);
  const fault = useSignal<Fault | null>(null);
  const title = useRef<HTMLHeadingElement>(null);

  /** Asks again until nothing changes by itself. */
  useEffect(() => {
    let over = false;
    let timer = 0;
    let pause = 500;
    const look = async () => {
      try {
        asset.value = await ask<Asset>(`/assets/${encodeURIComponent(id)}`);
        fault.value = null;
      } catch (error) {
        fault.value = asFault(error);
      }
      const again = fault.value ? fault.value.passes : asset.value && changes(asset.value);
      pause = Math.min(3000, pause * 1.2);
      if (again && !over) timer = setTimeout(look, pause);
    };
    void look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [id]);
  const name = asset.value?.filename;
  useEffect(() => {
    scrollTo(0, 0);
    document.title = name ? `${name} — Reelhouse` : "Reelhouse";
    title.current?.focus({ preventScroll: true });
  }, [name === undefined]);

  const back = (
    <a class="back" href={lastLibrary.value}>
      <Icon name="back" /> <span>All assets</span>
    </a>
  );
  const now = asset.value;
  if (!now) {
    return (
      <div class="asset-page">
        {back}
        {fault.value ? (
          <>
            <h1>{fault.value.status === 404 ? "No such asset" : "This asset cannot be shown"}</h1>
            <Problem fault={fault.value}>{fault.value.passes && <p>Trying again by itself.</p>}</Problem>
          </>
        ) : (
          <p class="loading" role="status">Loading …</p>
        )}
      </div>
    );
  }

  const kind = kindOf(now);
  const facts = now.technical_metadata ?? {};
  const [width, height] = [facts["video_width"] ?? facts["image_width"], facts["video_height"] ?? facts["image_height"]];
  const line = [
    now.file_type,
    now.size !== undefined && size(now.size),
    now.duration !== undefined && kind !== "image" && clock(now.duration),
    width && height && `${width} × ${height}`,
  ].filter(Boolean);
  return (
    <article class="asset-page">
      {back}
      <header class="asset-head">
        <div>
          <h1 ref={title} tabIndex={-1}>{now.filename}</h1>
          <p class="line">
            {line.map((each) => <span key={each}>{each}</span>)}
            <span title={exactly(now.created_at)}>added {since(now.created_at)}</span>
          </p>
        </div>
        <div class="asset-actions">
          {now.original_url && (
            <a class="button" href={now.original_url} download={now.filename}>
              <Icon name="down" /><span>Download</span>
            </a>
          )}
          <Remove asset={now} />
        </div>
      </header>
      {fault.value && <Problem fault={fault.value} />}
      {now.error && <Problem fault={now.error} />}
      <div class="asset-body">
        <div class="asset-main">
          {now.status === "ready" && <Player asset={now} kind={kind} />}
          <States asset={now} />
          <Code asset={now} />
        </div>
        <div class="asset-side">
          <Metadata asset={now} onSaved={(user_metadata) => (asset.value = { ...now, user_metadata })} />
          <References id={now._id} />
          <Facts facts={now.technical_metadata} id={now._id} />
        </div>
      </div>
    </article>
  );
}

type Step = { name: string; tone: "done" | "busy" | "idle" | "bad"; words: string };

/** Where it stands, as it changes. */
function States({ asset }: { asset: Asset }) {
  const steps: Step[] = [
    asset.status === "ready"
      ? { name: "Asset", tone: "done", words: "whole, checked and kept" }
      : asset.status === "failed"
        ? { name: "Asset", tone: "bad", words: "failed" }
        : { name: "Asset", tone: "busy", words: asset.method === "url" ? "being fetched" : "arriving" },
  ];
  if (asset.hls) steps.push({ name: "Stream", ...rendition(asset, asset.hls.status, "plays everywhere (HLS)") });
  if (asset.thumbnail) steps.push({ name: "Thumbnail", ...rendition(asset, asset.thumbnail.status, "there") });
  return (
    <section class="states" aria-label="State">
      <div role="status">
      <ul>
        {steps.map(({ name, tone, words }) => (
          <li key={name} class={tone}>
            <span class="dot" aria-hidden="true" />
            <b>{name}</b> <span>{words}</span>
          </li>
        ))}
      </ul>
      </div>
    </section>
  );
}

function rendition(asset: Asset, status: Rendition, ready: string): Omit<Step, "name"> {
  if (asset.status === "failed") return { tone: "idle", words: "not made" };
  switch (status) {
    case "pending":
      return { tone: "idle", words: "waits for its turn" };
    case "processing":
      return { tone: "busy", words: "being made" };
    case "ready":
      return { tone: "done", words: ready };
    case "error":
      return { tone: "bad", words: "could not be made; the operator sees why with “reelhouse jobs list”" };
  }
}
