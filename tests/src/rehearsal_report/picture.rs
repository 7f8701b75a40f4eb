//! What a picture of a page shows, by its colours.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

/// Points of it may differ by so much in each channel: edges are smoothed.
const NEAR: u8 = 6;

impl Colour {
    const fn is_near(self, [red, green, blue]: [u8; 3]) -> bool {
        self.0.abs_diff(red) <= NEAR && self.1.abs_diff(green) <= NEAR && self.2.abs_diff(blue) <= NEAR
    }
}

/// A picture.
#[derive(Debug)]
pub(super) struct Picture {
    width: usize,
    points: Vec<[u8; 3]>,
}

impl Picture {
    /// Reads a file.
    ///
    /// # Panics
    /// Where it is no picture of the kind that browsers make.
    pub(super) fn open(path: &Path) -> Self {
        let file = BufReader::new(File::open(path).expect("the picture is there"));
        let mut decoder = png::Decoder::new(file);
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().expect("a PNG");
        let mut bytes = vec![0; reader.output_buffer_size().expect("it fits into memory")];
        let frame = reader.next_frame(&mut bytes).expect("a whole PNG");
        let channels = frame.color_type.samples();
        assert!(channels >= 3, "a picture in colours");
        let points = bytes[..frame.buffer_size()].chunks_exact(channels);
        let points = points.map(|point| [point[0], point[1], point[2]]).collect();
        Self { width: frame.width as usize, points }
    }

    /// Points near a colour.
    pub(super) fn points_of(&self, colour: Colour) -> usize {
        self.points.iter().filter(|point| colour.is_near(**point)).count()
    }

    /// The part of all points that is near a colour.
    pub(super) fn share_of(&self, colour: Colour) -> f64 {
        self.points_of(colour) as f64 / self.points.len() as f64
    }

    /// Different colours.
    pub(super) fn colours(&self) -> usize {
        self.points.iter().collect::<HashSet<_>>().len()
    }

    /// Lines at the bottom that are nothing but paper.
    pub(super) fn empty_below(&self, paper: Colour) -> usize {
        let lines = self.points.chunks(self.width).rev();
        lines.take_while(|line| line.iter().all(|point| paper.is_near(*point))).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_counted_and_what_is_empty_below_ends_at_the_first_mark() {
        let (paper, ink) = ([250; 3], [0; 3]);
        let picture = Picture { width: 2, points: vec![ink, paper, paper, ink, paper, paper, paper, [252, 250, 249]] };
        let white = Colour(250, 250, 250);
        assert_eq!((picture.points_of(white), picture.empty_below(white), picture.colours()), (6, 2, 3));
        assert_eq!(picture.share_of(white), 0.75);
    }
}
