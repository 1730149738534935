//! An arena whose keys tell the present tenant of a place from an earlier one.

/// Names one tenant of a [`Slots`]; never valid again once that tenant has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotKey {
    index: u32,
    generation: u32,
}

/// Values in places that are reused, found in constant time by a [`SlotKey`].
#[derive(Debug)]
pub struct Slots<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    tenant: Option<T>,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    /// Gives `tenant` a place, the most recently freed first.
    pub fn insert(&mut self, tenant: T) -> SlotKey {
        let index = self.free.pop().unwrap_or_else(|| self.add_place());
        let place = &mut self.places[index as usize];
        assert!(place.tenant.is_none(), "a free place has a tenant");
        place.tenant = Some(tenant);
        SlotKey {
            index,
            generation: place.generation,
        }
    }

    fn add_place(&mut self) -> u32 {
        let index = u32::try_from(self.places.len()).expect("fewer than 2^32 tenants fit memory");
        self.places.push(Place {
            generation: 0,
            tenant: None,
        });
        index
    }

    /// Takes the tenant out; `None` where the key's tenant has left before.
    pub fn remove(&mut self, key: SlotKey) -> Option<T> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let tenant = place.tenant.take()?;
        // A place whose generations are used up stays empty, so that no key ever comes back.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(key.index);
        }
        Some(tenant)
    }

    /// The tenant that `key` names, if it is still there.
    #[must_use]
    pub fn get(&self, key: SlotKey) -> Option<&T> {
        let place = self.places.get(key.index as usize)?;
        place
            .tenant
            .as_ref()
            .filter(|_| place.generation == key.generation)
    }

    /// The tenant that `key` names, if it is still there.
    pub fn get_mut(&mut self, key: SlotKey) -> Option<&mut T> {
        let place = self.places.get_mut(key.index as usize)?;
        let current = place.generation == key.generation;
        place.tenant.as_mut().filter(|_| current)
    }

    /// How many tenants there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no tenant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Every tenant with its key, in the order of places.
    pub fn iter(&self) -> impl Iterator<Item = (SlotKey, &T)> {
        (0u32..).zip(&self.places).filter_map(|(index, place)| {
            let key = SlotKey {
                index,
                generation: place.generation,
            };
            place.tenant.as_ref().map(|tenant| (key, tenant))
        })
    }
}

#[cfg(test)]
mod tests;
