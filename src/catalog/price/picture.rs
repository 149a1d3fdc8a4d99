//! Images whose price depends on what they are: on their size, and on their quality.

use std::sync::Arc;

use super::Price;
use crate::catalog::{Deployment, PriceBook};
use crate::money::Usd;

/// What images were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    quality: Box<str>,
}

impl Picture {
    /// By the request's `size` (`1024x1024`) and `quality`. What is not said, or left to the model, is
    /// taken for a square of 1024 and for `standard`, as LiteLLM does.
    #[must_use]
    pub fn of(size: Option<&str>, quality: Option<&str>) -> Self {
        let sides = size.and_then(|size| {
            let (width, height) = size.split_once('x')?;
            let side = |text: &str| text.trim_matches('-').parse::<u32>().ok().filter(|it| *it > 0);
            Some((side(width)?, side(height)?))
        });
        let (width, height) = sides.unwrap_or((1024, 1024));
        let quality = quality.filter(|quality| !quality.is_empty() && *quality != "auto");
        Self { width, height, quality: quality.unwrap_or("standard").into() }
    }

    /// The names under which LiteLLM's table has such images of a model, the closest first.
    fn names(&self, model: &str) -> [String; 2] {
        let Self { width, height, quality } = self;
        let sized = format!("{width}-x-{height}/{model}");
        [format!("{quality}/{sized}"), sized]
    }

    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl Price {
    /// What one image costs; `None`: images have no price of their own.
    fn of_image(&self, picture: &Picture) -> Option<Usd> {
        let by_pixel = self.units.pixel.filter(|price| *price != Usd::ZERO);
        by_pixel.map(|price| price.times(picture.pixels())).or(self.units.image)
    }
}

impl Deployment {
    /// As [`Deployment::price`], with the price of such images. What is written at the deployment
    /// comes first; of the book, what it says of the size and the quality comes before what it says of
    /// the model.
    #[must_use]
    pub fn price_of_images(
        &self,
        model: &str,
        book: &PriceBook,
        picture: &Picture,
    ) -> Option<Arc<Price>> {
        let own = self.price(model, book);
        let known = self.info.base_model.as_deref().unwrap_or(model);
        let known = known
            .strip_prefix(&*self.provider)
            .map_or(known, |rest| rest.strip_prefix('/').unwrap_or(known));
        let units = |price: &Arc<Price>| (price.units.image, price.units.pixel);
        let listed = book.lookup(self.info.base_model.as_deref(), &self.provider, model);
        let listed = listed.and_then(|listed| listed.price.as_ref()).map_or((None, None), units);
        let is_written = own.as_ref().is_some_and(|own| units(own) != listed);
        let sized = || {
            let names = picture.names(known);
            let mut found = names.iter().filter_map(|name| book.get(&self.provider, name));
            found.find_map(|listed| listed.price.as_ref()?.of_image(picture))
        };
        let image = if is_written { None } else { sized() };
        let image = image.or_else(|| own.as_ref()?.of_image(picture));
        let Some(image) = image else { return own };
        let mut price = own.map_or_else(Price::default, |own| (*own).clone());
        price.units.image = Some(image);
        Some(Arc::new(price))
    }
}
