/** Runs in the page, alone (with `decode` of code.mjs): plays as player.mjs says, and returns {problems, facts}. */
export async function watch({ manifest, layout, frames, fps, tracks, late }) {
  const { Hls } = window;
  const video = document.querySelector("video");
  const problems = [];
  const facts = { waits: 0, waited: 0, framesRead: 0, slowDecoder: 0 };
  const begun = performance.now();
  const problem = (text) => problems.length < 20 && problems.push(`${text} (at ${video.currentTime.toFixed(2)} s)`);
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // A small buffer at first, so that the seek goes where nothing is loaded.
  const hls = new Hls({ maxBufferLength: 4, maxMaxBufferLength: 20 });
  let fatal = false;
  hls.on(Hls.Events.ERROR, (_, { details, fatal: ends, type, error, response, buffer }) => {
    // More than 2 s lie ready and it plays fast: a busy machine cannot decode as quickly as that.
    if (details === "bufferStalledError" && video.playbackRate > 1 && buffer > 2) return void facts.slowDecoder++;
    problem(`hls.js: ${ends ? "fatal " : ""}${type} ${details} ${response?.code ?? ""} ${error?.message ?? ""}`.trim());
    fatal ||= ends;
  });
  video.addEventListener("error", () => (problem(`the video element: ${video.error?.message}`), (fatal = true)));

  const until = async (what, condition, seconds) => {
    const limit = performance.now() + seconds * 1000;
    while (!condition()) {
      if (fatal) throw new Error(`never ${what}: a fatal error`);
      if (performance.now() > limit) throw new Error(`never ${what} within ${seconds} s`);
      await sleep(15);
    }
  };

  // The picture: what is shown, when, and its number.
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  // The row is drawn at once, or half of it might be of the next picture; of each block its middle is read.
  const across = 6;
  canvas.width = BLOCKS * across;
  canvas.height = 3;
  const read = () => {
    const wide = video.videoWidth / layout.width;
    const high = video.videoHeight / layout.height;
    const { x, y, block } = layout;
    context.drawImage(video, x * wide, y * high, BLOCKS * block * wide, block * high, 0, 0, canvas.width, canvas.height);
    const pixels = context.getImageData(0, 1, canvas.width, 1).data;
    return decode(Array.from({ length: BLOCKS }, (_, at) => (pixels[(at * across + 2) * 4 + 1] + pixels[(at * across + 3) * 4 + 1]) / 2));
  };
  /** The place in the source's list of the frame to be seen at a time. */
  const placeAt = (time) => {
    let low = 0;
    let high = frames.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (frames[middle][0] <= time + 0.5 / fps) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  };
  const tolerance = Math.max(2, Math.ceil(0.06 * fps));
  // Compared by place, not by number: a variable frame rate leaves numbers out.
  const places = new Map(frames.map(([, number], place) => [number, place]));
  const placeOf = (number) => {
    for (let near = 0; near < 50; near++) for (const place of [places.get(number - near), places.get(number + near)]) if (place !== undefined) return place;
    return Infinity;
  };
  const wrongFrames = {};
  const offsets = [];
  const judge = (number, time, when) => {
    const due = placeAt(time);
    const wanted = frames[due][1];
    if (number !== null) offsets.push((number - wanted) / fps);
    // The picture is read a little after it was told; at 4x that little is four times as much of the clip.
    const allowed = video.paused ? tolerance : tolerance * video.playbackRate;
    if (number !== null && Math.abs(placeOf(number) - due) <= allowed) return;
    const wrong = (wrongFrames[when] ??= { count: 0, first: number === null ? "no number can be read" : `${number} is shown, ${wanted} is due`, time });
    wrong.count++;
  };
  let presented = 0; // pictures so far
  let mediaTime = null; // of the last one
  let lastNumber = null;
  const onFrame = (_, metadata) => {
    presented = metadata.presentedFrames;
    mediaTime = metadata.mediaTime;
    if (!video.seeking) {
      lastNumber = read();
      facts.framesRead++;
      judge(lastNumber, mediaTime, "playing");
    }
    video.requestVideoFrameCallback(onFrame);
  };
  if (frames.length) video.requestVideoFrameCallback(onFrame);

  // The clock: sampled often, judged against the wall.
  let started = false;
  let quietUntil = 0; // seeks are judged by themselves
  let last = null;
  let still = 0;
  let reportedStill = false;
  let frozen = 0;
  const onTick = () => {
    const now = performance.now();
    const time = video.currentTime;
    const moving = started && !video.paused && !video.seeking && !video.ended && now > quietUntil;
    if (moving && last) {
      const wall = (now - last.now) / 1000;
      const went = time - last.time;
      if (went > wall * video.playbackRate + 0.25 * Math.max(1, video.playbackRate / 2)) problem(`a jump of ${went.toFixed(2)} s within ${wall.toFixed(2)} s`);
      if (went < -0.02) problem(`a jump back of ${(-went).toFixed(2)} s`);
      still = went > 0 ? 0 : still + wall;
      facts.waited = Math.max(facts.waited, still);
      if (still > 0.5 && !reportedStill) problem("playing stands still for more than 0.5 s");
      reportedStill = still > 0.5;
      if (frames.length && mediaTime !== null) {
        const behind = placeAt(time) > 0 ? frames[placeAt(time)][0] - mediaTime : 0;
        frozen = behind > 0.7 * video.playbackRate ? frozen + wall : 0;
        if (frozen > 0.2 && frozen - wall <= 0.2) problem(`the picture stands still ${behind.toFixed(2)} s behind the sound`);
      }
    } else still = frozen = 0;
    last = moving ? { now, time } : null;
  };
  const ticking = setInterval(onTick, 25);
  video.addEventListener("waiting", () => started && !video.seeking && facts.waits++);

  const fast = fps > 30 ? 2 : 4; // the decoder's own limit on two busy cores
  const playUntil = async (time, rate) => {
    video.playbackRate = rate;
    hls.config.maxBufferLength = 4 * rate;
    if (video.paused) await video.play();
    await until(`at ${time.toFixed(1)} s`, () => video.currentTime >= time || video.ended, (time - video.currentTime) / rate + 4);
  };
  const seek = async (time, name) => {
    const from = performance.now();
    const before = presented;
    video.pause();
    last = null;
    video.currentTime = time;
    await until(`done with the seek to ${name}`, () => !video.seeking && video.readyState >= 3, 4);
    facts[name] = Math.round(performance.now() - from);
    if (Math.abs(video.currentTime - time) > 0.2) problem(`the seek to ${time.toFixed(2)} s went elsewhere`);
    if (frames.length && frames.at(-1)[0] > time) {
      await until("showing a picture after the seek", () => presented > before, 2);
      await sleep(60);
      judge(read(), video.currentTime, `after the seek to ${name}`);
    }
    quietUntil = performance.now() + 100;
  };

  try {
    hls.attachMedia(video);
    hls.loadSource(manifest);
    video.volume = 0.1;
    video.play().catch((error) => fatal || problem(`play(): ${error.message}`));
    await until("playing", () => video.currentTime > 0 && video.readyState >= 3 && !video.seeking, 6);
    facts.startup = Math.round(performance.now() - begun);
    facts.first = video.currentTime;
    if (video.currentTime > 0.3 + late) problem("the start was left out");
    started = true;
    quietUntil = performance.now() + 100;
    facts.duration = video.duration;
    facts.size = [video.videoWidth, video.videoHeight];
    await playUntil(1, 1);
    if (frames.length && !presented) problem("no picture was shown");
    const middle = video.duration / 2;
    await seek(middle, "middle");
    await playUntil(middle + 0.4, 1);
    const nearEnd = video.duration - 2;
    await playUntil(nearEnd - 0.5, fast);
    await seek(nearEnd, "end");
    video.playbackRate = 1;
    await video.play();
    await until("ended", () => video.ended, video.duration - video.currentTime + 2);
    facts.ended = video.currentTime;
    if (Math.abs(video.currentTime - video.duration) > 0.1) problem(`ended at ${video.currentTime}, not at ${video.duration}`);
    const lastFrame = frames.at(-1);
    // The last picture's own time is its beginning; the decoder may have shown the one before it a moment too long.
    if (lastFrame && mediaTime < lastFrame[0] - 0.25) problem(`the last picture shown is of ${mediaTime.toFixed(2)} s, not ${lastFrame[0].toFixed(2)} s`);
    facts.tracks = hls.audioTracks.length;
    if (tracks > 1 && hls.audioTracks.length !== tracks) problem(`${hls.audioTracks.length} sound tracks can be chosen, not ${tracks}`);
    await seek(0.9, "back");
    for (let track = 1; track < hls.audioTracks.length; track++) {
      const switched = new Promise((resolve) => hls.once(Hls.Events.AUDIO_TRACK_SWITCHED, resolve));
      hls.audioTrack = track;
      await Promise.race([switched, sleep(3000).then(() => problem(`sound track ${track} was never switched to`))]);
      quietUntil = performance.now() + 600; // the old sound is thrown away
      await playUntil(video.currentTime + 0.7, 1);
    }
    await playUntil(middle + 0.5, fast);
  } catch (error) {
    problem(error.message);
  } finally {
    clearInterval(ticking);
  }
  for (const [when, { count, first, time }] of Object.entries(wrongFrames)) problems.push(`${when}: ${count} wrong frames, the first at ${time.toFixed(3)} s: ${first}`);
  facts.pictureOffset = offsets.sort((a, b) => a - b)[offsets.length >> 1];
  facts.dropped = video.getVideoPlaybackQuality().droppedVideoFrames;
  facts.shown = presented;
  facts.wall = Math.round(performance.now() - begun);
  hls.destroy();
  return { problems, facts };
}
