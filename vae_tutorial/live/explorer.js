// The map of a VAE's two latent dimensions: move z, and see what the decoder makes of it.
VaeLive.register("explorer", async (body, options, live) => {
  "use strict";
  const needed = ["mnist-2d", "small-vae", "latent-map"];
  const [file, vae, { latentMap }] = await Promise.all(needed.map(live.load));
  const model = vae.read(file);
  const SPEED = 1.2; // of the walk, in units of z a second
  let z = model.centres[0];

  const two = (value) => live.number(value, 2);
  const picture = vae.picture("What the decoder draws at z", "p(x | z): the decoder’s picture");
  const numbers = live.make("p", { class: "live-numbers live-z" });
  const near = live.make("p", { class: "live-near" });
  const spoken = live.announcer();
  const map = latentMap(
    model,
    446,
    {
      role: "application",
      "aria-label": "Map of the latent space. The arrow keys move z, with Shift in small steps.",
    },
    (context, colours, scale) => {
      const [x, y] = map.place(z);
      context.beginPath();
      context.arc(x, y, 9 * scale, 0, 2 * Math.PI);
      for (const [width, colour] of [[6, colours.paper], [3, colours.ink]]) {
        context.lineWidth = width * scale;
        context.strokeStyle = colour;
        context.stroke();
      }
    },
  );

  function move(next) {
    z = next;
    picture.show(model.decode(z));
    numbers.textContent = `z = (${two(z[0])}, ${two(z[1])})`;
    near.textContent = neighbours(vae.nearest(model, z));
    map.redraw();
  }
  // The two classes that are most frequent around z, in words.
  function neighbours(found) {
    const named = found.slice(0, 2).map(([label, n]) => `${label} (${n})`);
    const others = found.slice(2).reduce((sum, [, n]) => sum + n, 0);
    if (others) named.push(`others (${others})`);
    return `Classes of the 25 nearest test digits: ${named.join(", ")}.`;
  }
  const say = () => spoken.say(`z is ${two(z[0])}, ${two(z[1])}. ${near.textContent}`);

  // The walk goes from class to class along straight lines and begins again. It ends where
  // somebody takes z in hand, or the figure is out of sight.
  let walking = null;
  let target = 1;
  const walk = live.button("Walk from 0 to 9", () => {
    if (walking) return stop();
    if (live.calm()) return jump(); // no motion without being asked: one class for each press
    walk.setAttribute("aria-pressed", true);
    let before = performance.now();
    const step = (now) => {
      go((SPEED * Math.min(100, now - before)) / 1000);
      before = now;
      walking = requestAnimationFrame(step);
    };
    walking = requestAnimationFrame(step);
  }, { "aria-pressed": "false" });

  function go(far) {
    const [dx, dy] = [0, 1].map((d) => model.centres[target][d] - z[d]);
    const left = Math.hypot(dx, dy);
    if (left <= far) return jump();
    move([z[0] + (dx / left) * far, z[1] + (dy / left) * far]);
  }

  function jump() {
    move(model.centres[target]);
    target = (target + 1) % 10;
    say();
  }

  function stop() {
    cancelAnimationFrame(walking);
    walking = null;
    walk.setAttribute("aria-pressed", false);
  }
  new IntersectionObserver(([entry]) => entry.isIntersecting || stop()).observe(body);

  const digits = live.button("Show the decoder’s digits", () => {
    const on = digits.getAttribute("aria-pressed") !== "true";
    digits.setAttribute("aria-pressed", on);
    map.showDigits(on);
  }, { "aria-pressed": "false" });

  live.draggable(map.element, [446, 446], {
    get: () => map.place(z),
    set: (x, y) => {
      stop();
      move(map.z(x, y));
      say();
    },
    step: map.unit / 5, // 0.2
  });
  const key = live.make("p", {
    class: "live-key",
    text: "Each mark is the code of a test digit: the mean of q(z | x). The dashed circles are one " +
      "and two standard deviations of the prior.",
  });
  const side = live.make(
    "div", { class: "live-side" }, picture.element, numbers,
    live.make("div", { class: "live-row" }, walk, digits), near,
  );
  body.append(live.make("div", { class: "live-columns" }, map.element, side), key, spoken.element);
  move(z);
});
