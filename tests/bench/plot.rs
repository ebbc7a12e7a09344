//! The figures as a picture: bars of both engines and the limits, and a line for each series that grows, in plain SVG
//! with logarithmic scales. Depends on serde_json only. Called by `report`.

use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: f64 = 880.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 11.0;
const PANEL: f64 = 240.0;
/// The scale of seconds: from a tenth of a millisecond to a hundred seconds.
const DECADES: (f64, f64) = (-4.0, 2.0);
const COLOURS: &[&str] = &["#1b6ca8", "#d1495b", "#3a7d44", "#e3a008", "#6b4c9a", "#444444"];

/// A picture in the making.
struct Picture {
    body: String,
    y: f64,
}

/// Draws what the report has.
pub(crate) fn draw(value: &Value, rows: &[&str]) -> String {
    let mut picture = Picture { body: String::new(), y: 30.0 };
    picture.text(LEFT, 20.0, "start", "#000", "seconds, logarithmic; shorter is better");
    bars(&mut picture, value, rows);
    growth(&mut picture, value);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
        picture.y + 10.0,
        picture.body
    )
}

impl Picture {
    fn text(&mut self, x: f64, y: f64, anchor: &str, colour: &str, words: &str) {
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        // Writing to a string cannot fail.
        let _ = writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>");
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
            from.0, from.1, to.0, to.1
        );
    }
}

/// Where a number of seconds lies between 0 and 1.
fn place(seconds: f64) -> f64 {
    ((seconds.max(1e-9).log10() - DECADES.0) / (DECADES.1 - DECADES.0)).clamp(0.0, 1.0)
}

fn shown(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.1} s") }
}

fn bars(picture: &mut Picture, value: &Value, rows: &[&str]) {
    let mut bar = |label: &str, seconds: Option<f64>, colour: &str| {
        let Some(seconds) = seconds else { return };
        let width = place(seconds) * (WIDTH - LEFT - RIGHT);
        let _ = writeln!(
            picture.body,
            "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>",
            picture.y,
            BAR - 1.0
        );
        let y = picture.y + BAR - 2.0;
        picture.text(LEFT - 6.0, y, "end", "#000", label);
        picture.text(LEFT + width + 4.0, y, "start", colour, &shown(seconds));
        picture.y += BAR;
    };
    let figure = |engine: &str, row: &str| value[engine]["rows"][row]["median"].as_f64();
    for row in rows.iter().filter(|row| !row.contains("RSS")) {
        bar(row, figure("lxhost", row), COLOURS[0]);
        bar("Incus", figure("incus", row), COLOURS[1]);
    }
    for (row, _) in value["limits"]["rows"].as_object().into_iter().flatten() {
        bar(&format!("limit: {row}"), figure("limits", row), COLOURS[2]);
    }
    picture.y += 20.0;
}

/// Two panels: what grows by instances, and what grows by megabytes.
fn growth(picture: &mut Picture, value: &Value) {
    for (title, is_of) in [("instances that run", false), ("megabytes", true)] {
        let series: Vec<(&String, Vec<(f64, f64)>)> = value["growth"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.contains("MB") == is_of)
            .map(|(name, points)| (name, points.as_array().into_iter().flatten().filter_map(point).collect()))
            .collect();
        if !series.is_empty() {
            panel(picture, title, &series);
        }
    }
}

fn point(pair: &Value) -> Option<(f64, f64)> {
    Some((pair[0].as_f64()?, pair[1].as_f64()?))
}

fn panel(picture: &mut Picture, title: &str, series: &[(&String, Vec<(f64, f64)>)]) {
    let (top, bottom, right) = (picture.y, picture.y + PANEL, WIDTH - 240.0);
    let x = |of: f64| LEFT + of.max(1.0).log10() / 3.0 * (right - LEFT);
    let y = |seconds: f64| bottom - place(seconds) * PANEL;
    for decade in DECADES.0 as i32..=DECADES.1 as i32 {
        let seconds = 10f64.powi(decade);
        picture.line((LEFT, y(seconds)), (right, y(seconds)), "#ddd", 1.0);
        picture.text(LEFT - 6.0, y(seconds) + 4.0, "end", "#000", &shown(seconds));
    }
    for of in [1.0, 10.0, 100.0, 1000.0] {
        picture.line((x(of), top), (x(of), bottom), "#ddd", 1.0);
        picture.text(x(of), bottom + 14.0, "middle", "#000", &format!("{of}"));
    }
    picture.text(f64::midpoint(LEFT, right), bottom + 28.0, "middle", "#000", title);
    for (number, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        for pair in points.windows(2) {
            picture.line((x(pair[0].0), y(pair[0].1)), (x(pair[1].0), y(pair[1].1)), colour, 2.0);
        }
        for (of, seconds) in points {
            let _ = writeln!(picture.body, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*of), y(*seconds));
        }
        picture.text(right + 10.0, top + 16.0 * (number as f64 + 1.0), "start", colour, name);
    }
    picture.y = bottom + 50.0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_picture_has_a_bar_for_each_figure_and_a_line_for_each_series() {
        let value = json!({
            "lxhost": { "rows": { "launch": { "median": 0.03 }, "exec <true>": { "median": 0.008 } } },
            "incus": { "rows": { "launch": { "median": 1.3 } } },
            "limits": { "rows": { "crun run": { "median": 0.02 } } },
            "growth": { "list, by instances that run": [[10, 0.005], [100, 0.007], [1000, 0.03]] },
        });
        let svg = draw(&value, &["launch", "exec <true>", "daemon RSS"]);
        assert_eq!(svg.matches("<rect x=").count(), 4, "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("exec &lt;true>") && svg.contains("1.3 s") && svg.contains("30.0 ms"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!((place(1e-4), place(100.0)) == (0.0, 1.0));
    }
}
