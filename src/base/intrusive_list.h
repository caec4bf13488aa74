#pragma once

#include <utility>

// A doubly linked list whose links live in its elements: no allocation, removal in O(1) without
// knowing the list, and an element that is destroyed leaves its list by itself. An element that is
// to stand on several lists at once derives from several hooks, told apart by a tag.

namespace tern::base {

/// The links. Not copied and not moved with the element: neighbours point at it.
class ListLink {
 public:
  ListLink() noexcept = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;
  ~ListLink() { unlink(); }

  /// Whether it stands on a list.
  bool linked() const noexcept { return next_ != nullptr; }
  /// Leaves the list, if on one.
  void unlink() noexcept {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }
  /// Enters the ring just before `place`; only when not linked.
  void link_before(ListLink& place) noexcept {
    prev_ = place.prev_;
    next_ = &place;
    prev_->next_ = this;
    place.prev_ = this;
  }
  /// A ring of its own: the head of an empty list.
  void make_ring() noexcept { prev_ = next_ = this; }
  /// Moves all that stands behind `head`, which stays as an empty ring, to just before here; only
  /// when there is something.
  void splice_before(ListLink& head) noexcept {
    prev_->next_ = head.next_;
    head.next_->prev_ = prev_;
    head.prev_->next_ = this;
    prev_ = head.prev_;
    head.make_ring();
  }
  ListLink* next() const noexcept { return next_; }

 private:
  ListLink* prev_ = nullptr;
  ListLink* next_ = nullptr;
};

/// Base of an element; `Tag` names the list it is for.
template <class Tag>
class ListHook : public ListLink {};

/// A list of Ts, which derive from ListHook<Tag>. Owns nothing: elements that are left when it ends
/// are only unlinked.
template <class T, class Tag>
class IntrusiveList {
 public:
  IntrusiveList() noexcept { head_.make_ring(); }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() { clear(); }

  bool empty() const noexcept { return head_.next() == &head_; }
  /// Appends; only an element that stands on no list of this tag.
  void push_back(T& element) noexcept { hook(element).link_before(head_); }
  /// The first element; only when not empty.
  T& front() noexcept { return static_cast<T&>(static_cast<ListHook<Tag>&>(*head_.next())); }
  /// Unlinks the first element and returns it; only when not empty.
  T& pop_front() noexcept {
    T& first = front();
    hook(first).unlink();
    return first;
  }
  /// Moves all elements of `other` behind those here.
  void take(IntrusiveList& other) noexcept {
    if (!other.empty()) head_.splice_before(other.head_);
  }
  /// Unlinks all.
  void clear() noexcept {
    while (!empty()) pop_front();
  }

 private:
  static ListHook<Tag>& hook(T& element) noexcept { return element; }

  ListLink head_{};
};

}  // namespace tern::base
