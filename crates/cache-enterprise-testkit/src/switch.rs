//! What a test switches while calls wait for it.

use std::fmt;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// A value that is switched at run time. Who waits for it goes on in the order of waiting, so that
/// what follows can be played again: the `watch` channel of tokio wakes at random.
#[derive(Default)]
pub(crate) struct Switch<T> {
    value: Mutex<T>,
    switched: Notify,
}

impl<T: Copy> Switch<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), switched: Notify::new() }
    }

    pub(crate) fn get(&self) -> T {
        *self.value.lock()
    }

    pub(crate) fn set(&self, value: T) {
        self.change(|held| *held = value);
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.value.lock());
        self.switched.notify_waiters();
    }

    /// Ends with the next change after this call, polled by then or not: whoever looks at the
    /// value after it misses none.
    pub(crate) fn switched(&self) -> Notified<'_> {
        self.switched.notified()
    }

    /// The value, once it is a wanted one.
    pub(crate) async fn wait_for(&self, is_wanted: impl Fn(&T) -> bool) -> T {
        loop {
            let switched = self.switched();
            let value = self.get();
            if is_wanted(&value) {
                return value;
            }
            switched.await;
        }
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for Switch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn who_waits_goes_on_in_the_order_of_waiting() {
        let switch = Arc::new(Switch::new(0_u8));
        let (passed, mut order) = mpsc::unbounded_channel();
        for number in 0..50_u8 {
            let (switch, passed) = (Arc::clone(&switch), passed.clone());
            tokio::spawn(async move {
                switch.wait_for(|value| *value == 2).await;
                passed.send(number).expect("the test listens");
            });
        }
        tokio::task::yield_now().await;
        switch.set(1);
        tokio::task::yield_now().await;
        assert!(order.try_recv().is_err(), "nobody wants a one");
        switch.set(2);
        for number in 0..50 {
            assert_eq!(order.recv().await, Some(number));
        }
    }

    #[tokio::test]
    async fn a_change_between_a_look_and_the_wait_ends_the_wait() {
        let switch = Switch::new(0_u8);
        let switched = switch.switched();
        assert_eq!(switch.get(), 0);
        switch.set(1);
        switched.await;
    }
}
