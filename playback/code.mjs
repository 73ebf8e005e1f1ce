// A frame's number as 16 black and white blocks across the middle of the picture, low bit first: 12 bits of the number, then
// 4 inverted parities, so that neither an all-black, an all-white nor a mirrored row reads as a number.
// The number is the frame's place at the clip's nominal rate; a second of sound begins with a beep (`sound`).

export const BLOCKS = 16;
export const PARITIES = [[0, 5, 10], [1, 2, 6, 11], [2, 7, 8], [0, 3, 4, 9]];

/** Where the blocks are in a picture of this size. */
export function layout(width, height) {
  const block = Math.floor((width * 0.8) / BLOCKS / 2) * 2;
  return { width, height, block, x: Math.floor((width - BLOCKS * block) / 4) * 2, y: Math.floor((height - block) / 4) * 2 };
}

/** An ffmpeg source of the row of blocks. The formula is evaluated for 16 pixels a frame, the rest is scaling. */
export function codeSource(width, height, rate, duration) {
  const { block } = layout(width, height);
  const bit = (of) => `mod(floor(N/pow(2\\,${of}))\\,2)`;
  const parity = PARITIES.map((bits, k) => `eq(X\\,${12 + k})*(1-mod(${bits.map(bit).join("+")}\\,2))`).join("+");
  return (
    `color=black:size=${BLOCKS}x1:rate=${rate}:duration=${duration},format=gray,` +
    `geq=lum='255*if(lt(X\\,12)\\,${bit("X")}\\,${parity})',` +
    `scale=${BLOCKS * block}:${block}:flags=neighbor`
  );
}

/** The number in 16 levels of grey, or null. */
export function decode(levels) {
  const low = Math.min(...levels);
  const high = Math.max(...levels);
  if (high - low < 60) return null;
  const bits = Array.from(levels, (level) => (level > (low + high) / 2 ? 1 : 0));
  for (let k = 0; k < 4; k++) if (bits[12 + k] !== 1 - (PARITIES[k].reduce((sum, bit) => sum + bits[bit], 0) % 2)) return null;
  return bits.slice(0, 12).reduce((n, bit, k) => n + bit * 2 ** k, 0);
}

/** An ffmpeg filter that leaves of a picture of any size the 16 levels, as one row of grey pixels. */
export function levelsFilter(width, height) {
  const { block, x, y } = layout(width, height);
  const third = block / 3;
  return (
    `crop=iw*${(BLOCKS * block) / width}:ih*${third / height}:iw*${x / width}:ih*${(y + third) / height}:exact=1,` +
    `scale=${BLOCKS * 3}:1:flags=area,format=gray,crop=${BLOCKS * 3 - 2}:1:1:0:exact=1,scale=${BLOCKS}:1:flags=neighbor`
  );
}

/** A beep of 0.1 s at the start of every second. */
export const sound = (duration, pitch = 1000) =>
  `aevalsrc=exprs='0.7*sin(2*PI*${pitch}*t)*lt(mod(t\\,1)\\,0.1)':sample_rate=48000:duration=${duration}`;

/** When the beeps begin, in seconds, in 32 bit float samples of one channel. */
export function beeps(samples, rate) {
  const found = [];
  let quietSince = -Infinity;
  samples.forEach((sample, at) => {
    if (Math.abs(sample) < 0.15) return;
    if (at - quietSince > rate * 0.3) found.push(at / rate);
    quietSince = at;
  });
  return found;
}
