//! Updates with a barrier of their own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crdt_core::Crdt;
use dd_gossip::Consistency;

use crate::barrier::BarrierError;
use crate::error::StoreError;
use crate::key::Key;
use crate::store::Store;

/// An update that was made here, and is waited for elsewhere: see [`Store::update_at`].
#[must_use = "the update is made, and only waiting says when others have it"]
pub struct UpdateAt<R> {
    value: Option<R>,
    confirmed: Pin<Box<dyn Future<Output = Result<(), BarrierError>> + Send>>,
}

impl<R> UpdateAt<R> {
    /// What the closure returned. `None` once the future has given it out.
    pub fn value(&self) -> Option<&R> {
        self.value.as_ref()
    }
}

impl<R: Unpin> Future for UpdateAt<R> {
    type Output = Result<R, BarrierError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.confirmed.as_mut().poll(cx) {
            Poll::Ready(Ok(())) => match self.value.take() {
                Some(value) => Poll::Ready(Ok(value)),
                None => Poll::Pending, // polled again after its end
            },
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<R: fmt::Debug> fmt::Debug for UpdateAt<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateAt")
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// As [`update`](Self::update), at once and locally; and a future that is ready when as many nodes as
    /// `consistency` says have it. Of many updates it costs less to make them all and to wait for one
    /// [`confirmed`](Self::confirmed).
    ///
    /// ```no_run
    /// use dd_extension::{Consistency, Key, Store, types::PnCounter};
    ///
    /// const HITS: Key<PnCounter> = Key::new("hits");
    ///
    /// # async fn example(store: Store) -> Result<(), Box<dyn std::error::Error>> {
    /// store.update_at(Consistency::majority(), &HITS, |hits| hits.add(1))?.await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed then. The future's is a [`BarrierError`]: the update stands all
    /// the same. Dropping the future ends the waiting and nothing else.
    pub fn update_at<T: Crdt, R>(
        &self,
        consistency: Consistency,
        key: &Key<T>,
        update: impl FnOnce(&mut T::Edit<'_>) -> R,
    ) -> Result<UpdateAt<R>, StoreError> {
        let value = Some(self.update(key, update)?);
        let store = self.clone();
        let confirmed = Box::pin(async move { store.confirmed(consistency).await });
        Ok(UpdateAt { value, confirmed })
    }
}
