//! The figures as a chart, in SVG.

use std::fmt::Write as _;

use super::report::{Report, Run, Samples};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 440.0;
/// Colours of prompt lengths, the shortest first.
const BLUES: [&str; 4] = ["#b9d3ee", "#6fa3d8", "#2f6fb3", "#16406f"];
const DECODE: &str = "#d9772b";
const INK: &str = "#24292f";
const FAINT: &str = "#6e7781";
const STYLE: &str = "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#24292f}\
    .title{font-size:17px;font-weight:600}.panel{font-size:14px;font-weight:600}\
    .small{font-size:12px;fill:#6e7781}.value{font-size:12px}.inside{font-size:12px;fill:#fff}";

/// A bar: what it shows, its colour, and the height that would be possible.
struct Bar<'a> {
    samples: &'a Samples,
    colour: &'static str,
    limit: Option<f64>,
}

/// Bars that stand together over one label.
struct Group<'a> {
    label: String,
    bars: Vec<Bar<'a>>,
}

/// Where a panel is, and its scale.
struct Panel {
    x: f64,
    width: f64,
    top: f64,
    height: f64,
    most: f64,
}

/// The chart of a report: decode beside what the memory bus allows, and prefill by length of the prompt.
pub(super) fn svg(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\">\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    )?;
    let file = report.model.rsplit(['/', '\\']).next().unwrap_or_default();
    text(out, (24.0, 34.0), "title", "start", &format!("{file}, tokens/s"))?;
    let machine = &report.machine.processor;
    let under = format!("{machine} · backend {} · batch {}", report.backend, report.batch);
    text(out, (24.0, 55.0), "small", "start", &under)?;
    if let Some(problem) = report.problems.first() {
        text(out, (24.0, 72.0), "value", "start", &format!("INVALID: {problem}"))?;
    }
    let decode: Vec<Group<'_>> = report.runs.iter().filter_map(|run| decode_group(report, run)).collect();
    let prefill: Vec<Group<'_>> = report.runs.iter().map(prefill_group).collect();
    panel(out, 24.0, 380.0, &format!("Decode of {} tokens", report.decode_tokens), &decode)?;
    panel(out, 452.0, 484.0, "Prefill", &prefill)?;
    legends(out, report, decode.iter().any(|group| group.bars.iter().any(|bar| bar.limit.is_some())))?;
    writeln!(out, "</svg>")
}

fn threads(run: &Run) -> String {
    format!("{} thread{}", run.threads, if run.threads == 1 { "" } else { "s" })
}

fn decode_group<'a>(report: &Report, run: &'a Run) -> Option<Group<'a>> {
    let samples = run.decode.as_ref()?;
    let bus = run.bandwidth.as_ref().filter(|_| run.bandwidth_percent.is_some());
    let limit = bus.map(|bus| bus.best() / report.bytes_per_token as f64);
    Some(Group { label: threads(run), bars: vec![Bar { samples, colour: DECODE, limit }] })
}

fn prefill_group(run: &Run) -> Group<'_> {
    let bars = run.prefill.iter().zip(BLUES.iter().cycle());
    Group {
        label: threads(run),
        bars: bars.map(|(prefill, colour)| Bar { samples: &prefill.speed, colour, limit: None }).collect(),
    }
}

fn panel(out: &mut String, x: f64, width: f64, title: &str, groups: &[Group<'_>]) -> std::fmt::Result {
    let bars = groups.iter().flat_map(|group| &group.bars);
    let most = bars.map(|bar| bar.samples.max.max(bar.limit.unwrap_or(0.0))).fold(0.0, f64::max);
    if most <= 0.0 {
        return Ok(());
    }
    let step = step(most);
    // Room above the highest bar for its figure.
    let panel = Panel { x: x + 44.0, width: width - 44.0, top: 116.0, height: 268.0, most: most * 1.08 };
    text(out, (x, 100.0), "panel", "start", title)?;
    let mut tick = 0.0;
    while tick <= panel.most {
        let y = panel.y(tick);
        line(out, (panel.x, y), (panel.x + panel.width, y), if tick == 0.0 { INK } else { "#e4e7ea" })?;
        text(out, (panel.x - 8.0, y + 4.0), "small", "end", &figure(tick, step))?;
        tick += step;
    }
    let share = panel.width / groups.len().max(1) as f64;
    for (i, group) in groups.iter().enumerate() {
        let left = panel.x + share * i as f64;
        text(out, (left + share / 2.0, panel.bottom() + 20.0), "value", "middle", &group.label)?;
        let count = group.bars.len().max(1) as f64;
        let wide = (share * 0.72 / count).min(64.0);
        let first = left + (share - wide * count) / 2.0;
        for (j, bar) in group.bars.iter().enumerate() {
            draw(out, &panel, bar, first + wide * j as f64, wide)?;
        }
    }
    Ok(())
}

fn draw(out: &mut String, panel: &Panel, bar: &Bar<'_>, x: f64, wide: f64) -> std::fmt::Result {
    let (gap, base) = (wide * 0.06, panel.bottom());
    let (x, wide) = (x + gap, wide - 2.0 * gap);
    let (middle, Samples { median, min, max, .. }) = (x + wide / 2.0, bar.samples);
    if let Some(limit) = bar.limit {
        let y = panel.y(limit);
        writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" fill=\"none\" stroke=\"{FAINT}\" \
             stroke-dasharray=\"4 3\"/>",
            base - y
        )?;
        text(out, (x + wide + 6.0, y + 4.0), "small", "start", &speed(limit))?;
    }
    let y = panel.y(*median);
    writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
        base - y,
        bar.colour
    )?;
    line(out, (middle, panel.y(*min)), (middle, panel.y(*max)), INK)?;
    let label = speed(*median);
    if bar.limit.is_some() && base - y > 24.0 {
        // A figure over the bar would stand in the dashed line.
        return text(out, (middle, base - 8.0), "inside", "middle", &label);
    }
    text(out, (middle, panel.y(*max) - 6.0), "value", "middle", &label)
}

fn legends(out: &mut String, report: &Report, limits: bool) -> std::fmt::Result {
    let y = HEIGHT - 16.0;
    if limits {
        writeln!(
            out,
            "<rect x=\"68\" y=\"{:.1}\" width=\"14\" height=\"11\" fill=\"none\" stroke=\"{FAINT}\" stroke-dasharray=\"4 3\"/>",
            y - 10.0
        )?;
        text(out, (88.0, y), "small", "start", "what the measured read bandwidth allows")?;
    }
    let mut x = 496.0;
    let lengths = report.runs.first().map_or(&[][..], |run| &run.prefill);
    for (prefill, colour) in lengths.iter().zip(BLUES.iter().cycle()) {
        writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"11\" fill=\"{colour}\"/>",
            y - 10.0
        )?;
        let label = format!("{} tokens", prefill.tokens);
        text(out, (x + 20.0, y), "small", "start", &label)?;
        x += 44.0 + 7.0 * label.len() as f64;
    }
    Ok(())
}

impl Panel {
    const fn bottom(&self) -> f64 {
        self.top + self.height
    }

    const fn y(&self, value: f64) -> f64 {
        self.bottom() - value / self.most * self.height
    }
}

/// A round distance of ticks: about five of them.
fn step(most: f64) -> f64 {
    let power = 10f64.powf((most / 5.0).log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| most / step <= 6.0).unwrap_or(most)
}

/// A number as precise as `step` needs, at most two digits behind the point.
fn figure(value: f64, step: f64) -> String {
    let digits = if step >= 1.0 || value == 0.0 {
        0
    } else if step >= 0.1 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

/// A speed in three digits or so.
fn speed(value: f64) -> String {
    figure(
        value,
        if value >= 100.0 {
            1.0
        } else if value >= 1.0 {
            0.1
        } else {
            0.01
        },
    )
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) -> std::fmt::Result {
    writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
        from.0, from.1, to.0, to.1
    )
}

fn text(out: &mut String, at: (f64, f64), class: &str, anchor: &str, text: &str) -> std::fmt::Result {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>",
        at.0, at.1
    )
}

#[cfg(test)]
mod tests {
    use super::{figure, step};

    #[test]
    fn ticks_are_round_and_few() {
        for most in [0.03, 0.7, 1.0, 9.0, 42.0, 310.0, 5000.0] {
            let step = step(most);
            assert!((3.0..=6.0).contains(&(most / step)), "{most} in steps of {step}");
        }
        assert_eq!(
            (figure(0.0, 2.5), figure(7.5, 2.5), figure(0.25, 0.25)),
            ("0".into(), "8".into(), "0.2".into())
        );
    }
}
