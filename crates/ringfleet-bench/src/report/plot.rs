//! Two kinds of plot, as SVG: bars with their values, and curves over a logarithmic axis.

use std::path::Path;

use plotters::prelude::*;

use crate::figure::{Figure, shown};

const INK: RGBColor = RGBColor(38, 50, 56);
const FIRST: RGBColor = RGBColor(0, 105, 146);
const COLOURS: [RGBColor; 3] = [FIRST, RGBColor(216, 97, 30), RGBColor(96, 125, 59)];
const OTHERS: RGBColor = RGBColor(144, 164, 174);
const FONT: &str = "sans-serif";

pub(super) struct Curve {
    label: String,
    pub(super) points: Vec<(f64, f64)>,
}

impl Curve {
    pub(super) fn new<'a>(label: &str, figures: impl Iterator<Item = &'a Figure>) -> Self {
        let points = figures.filter_map(|figure| Some((figure.x?, figure.median))).collect();
        Self { label: label.to_owned(), points }
    }
}

/// Horizontal bars from the top, ours in colour; the value stands at the end of each.
pub(super) fn bars(file: &Path, title: &str, bars: &[(String, f64)]) -> anyhow::Result<()> {
    const LEFT: i32 = 330;
    const RIGHT: i32 = 650;
    const TOP: i32 = 56;
    const ROW: i32 = 34;
    let height = TOP + ROW * i32::try_from(bars.len())? + 16;
    let area = SVGBackend::new(file, (760, u32::try_from(height)?)).into_drawing_area();
    area.fill(&WHITE)?;
    area.draw(&Text::new(title.to_owned(), (20, 18), (FONT, 19).into_font().color(&INK)))?;
    let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    for (at, (label, value)) in bars.iter().enumerate() {
        let top = TOP + ROW * i32::try_from(at)?;
        let end = LEFT + (f64::from(RIGHT - LEFT) * value / most).round() as i32;
        let colour = if label.starts_with(crate::queue::OURS) { FIRST } else { OTHERS };
        area.draw(&Text::new(label.clone(), (20, top + 6), (FONT, 14).into_font().color(&INK)))?;
        area.draw(&Rectangle::new([(LEFT, top), (end, top + ROW - 10)], colour.filled()))?;
        area.draw(&Text::new(shown(*value), (end + 8, top + 6), (FONT, 14).into_font().color(&INK)))?;
    }
    area.present()?;
    Ok(())
}

/// Curves over a logarithmic axis, from zero up.
pub(super) fn curves(file: &Path, title: &str, axes: (&str, &str), curves: &[Curve]) -> anyhow::Result<()> {
    let area = SVGBackend::new(file, (760, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let least = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
    let top = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 19).into_font().color(&INK))
        .margin(16)
        .margin_right(44)
        .x_label_area_size(48)
        .y_label_area_size(76)
        .build_cartesian_2d((least..most).log_scale(), 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(axes.0)
        .y_desc(axes.1)
        .x_label_formatter(&|x| shown(x.round()))
        .y_label_formatter(&|y| shown(*y))
        .label_style((FONT, 13).into_font().color(&INK))
        .light_line_style(WHITE)
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2)).point_size(4))?
            .label(&curve.label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    if curves.len() > 1 {
        chart.configure_series_labels().border_style(OTHERS).background_style(WHITE).draw()?;
    }
    area.present()?;
    Ok(())
}
