import { useSignal } from "@preact/signals";

import type { Fact, FactRow, Facts as All } from "../api";
import { clock, count, decimal, exactly, size } from "../words";

/** Names where the field's own, with its spaces, would not read well. */
const names: Record<string, string> = {
  file_size_bytes: "Size",
  file_mime_type: "Type",
  file_container_format: "Container",
  container_creation_time: "Recorded",
  video_fps: "Frame rate",
  video_bitrate_bps: "Bit rate",
  video_duration_seconds: "Length",
  audio_duration_seconds: "Length",
  audio_sample_rate: "Sample rate",
  fps: "Frame rate",
  avg_fps: "Average frame rate",
  bitrate_bps: "Bit rate",
  duration_seconds: "Length",
  codec_long: "Codec, in words",
  is_hdr: "HDR",
  has_alpha: "Transparency",
  has_audio: "Sound",
  is_animated: "Animated",
  drop_frame: "Drop frame",
  storage_aspect_ratio: "Stored aspect ratio",
  geospatial_latitude: "Latitude",
  geospatial_longitude: "Longitude",
  geospatial_altitude_meters: "Altitude",
  total_video_streams: "Video tracks",
  total_audio_streams: "Sound tracks",
};

function nameOf(field: string): string {
  const known = names[field];
  if (known) return known;
  const words = field.replace(/^(file|video|audio|image)_/, "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function words(field: string, value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (field.endsWith("container_format")) return String(value).replaceAll(",", ", ");
  if (typeof value === "string") return field.endsWith("_time") && Date.parse(value) ? exactly(value) : value;
  if (field.endsWith("_bytes")) return `${size(value)} (${count(value)} bytes)`;
  if (field.endsWith("_bps")) return value >= 1e6 ? `${decimal(value / 1e6)} Mbit/s` : `${decimal(value / 1e3)} kbit/s`;
  if (field.endsWith("duration_seconds")) return `${clock(value)} (${value.toFixed(3)} s)`;
  if (field.endsWith("fps")) return `${+value.toFixed(3)} per second`;
  if (field.endsWith("sample_rate")) return `${decimal(value / 1000)} kHz`;
  if (field.endsWith("bit_depth")) return `${value} bits`;
  if (/(width|height)$/.test(field)) return `${value} px`;
  if (field === "rotation") return `${value}°`;
  if (/latitude|longitude/.test(field)) return `${value}°`;
  if (field.endsWith("_meters")) return `${decimal(value)} m`;
  return String(+value.toFixed(4));
}

function groupOf(field: string): string {
  if (/^(file|container)_/.test(field)) return "File";
  if (/^video_|is_hdr|storage_aspect|total_video/.test(field)) return "Video";
  if (/^audio_|has_audio|total_audio/.test(field)) return "Sound";
  if (/^image_|has_alpha|is_animated/.test(field)) return "Image";
  if (/timecode|drop_frame/.test(field)) return "Timecode";
  if (/^geospatial_/.test(field)) return "Place";
  return "More";
}

/** What is known of the file, in groups; each track with all its details. */
export function Facts({ facts, id }: { facts: All | undefined; id: string }) {
  const raw = useSignal(false);
  if (!facts) return null;
  const groups = new Map<string, [string, Fact][]>();
  const tracks: { title: string; rows: FactRow }[] = [];
  for (const [field, value] of Object.entries(facts)) {
    if (Array.isArray(value)) {
      const title = field === "video_streams" ? "Video track" : "Sound track";
      value.forEach((rows, n) => tracks.push({ title: value.length > 1 ? `${title} ${n + 1}` : title, rows }));
      continue;
    }
    const group = groupOf(field);
    groups.set(group, [...(groups.get(group) ?? []), [field, value]]);
  }
  return (
    <section class="card facts" aria-labelledby="facts-title">
      <div class="card-head">
        <h2 id="facts-title">The file</h2>
        <button class="quiet small" aria-pressed={raw.value} onClick={() => (raw.value = !raw.value)}>JSON</button>
      </div>
      {raw.value ? (
        <pre class="code" tabIndex={0} role="region" aria-label="Technical metadata as JSON">{JSON.stringify(facts, null, 2)}</pre>
      ) : (
        <>
          {[...groups].map(([title, rows]) => <Table key={title} title={title} rows={rows as [string, string | number | boolean][]} id={id} />)}
          {tracks.map(({ title, rows }) => (
            <details key={title}>
              <summary>{title}</summary>
              <Table title={title} rows={Object.entries(rows)} id={id} hidden />
            </details>
          ))}
        </>
      )}
    </section>
  );
}

function Table({ title, rows, id, hidden = false }: { title: string; rows: [string, string | number | boolean][]; id: string; hidden?: boolean }) {
  return (
    <table key={id}>
      <caption class={hidden ? "unseen" : ""}>{title}</caption>
      <tbody>
        {rows.map(([field, value]) => (
          <tr key={field}>
            <th scope="row" title={field}>{nameOf(field)}</th>
            <td>{words(field, value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
