// News of a running simulation, asked for where the page came from, once a second.
async function listen() {
  try {
    const news = await (await fetch("news", { cache: "no-store" })).json();
    if (news.count !== words.count) {
      const latest = state.step === words.times_seconds.length - 1;
      Object.assign(words, news.words);
      Object.assign(data, await unpack(news.numbers, news.words.arrays));
      meet(); seek(latest ? words.times_seconds.length - 1 : state.step);
    }
    if (news.finished) return say("The simulation has finished");
  } catch (error) { say("The simulation no longer answers"); }
  setTimeout(listen, 1000);
}
