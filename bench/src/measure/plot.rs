//! Pictures of how a figure grows with the size of a workload.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

/// The figures of one subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The subject's name.
    pub name: String,
    /// Size and figure, the smaller sizes first.
    pub points: Vec<(usize, f64)>,
}

/// The width and height of a picture, in pixels.
const SIZE: (u32, u32) = (720, 320);

/// The lines' colours: dark enough for a white page, and distinct also for colour-blind readers.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0xc0, 0x1c, 0x4b),
    RGBColor(0xe8, 0x8a, 0x1a),
    RGBColor(0x1a, 0x6f, 0xb5),
    RGBColor(0x2c, 0x8a, 0x57),
    RGBColor(0x6b, 0x4f, 0xa0),
    RGBColor(0x55, 0x55, 0x55),
];

/// Draws lines over a logarithmic axis of sizes, with figures from zero. Without a line there is no picture.
///
/// # Errors
/// If the file cannot be written.
pub fn draw(path: &Path, title: &str, unit: &str, lines: &[Line]) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let (Some(least), Some(most)) = (
        points().map(|point| point.0).min(),
        points().map(|point| point.0).max(),
    ) else {
        return Ok(());
    };
    let top = points()
        .map(|point| point.1)
        .fold(f64::MIN_POSITIVE, f64::max);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    // The library's errors borrow the backend.
    let draw = || -> Result<(), Box<dyn std::error::Error + '_>> {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d((least..most + 1).log_scale(), 0.0..top * 1.1)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(unit)
            .draw()?;
        for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), style).point_size(3))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .draw()?;
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}
