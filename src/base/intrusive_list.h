#pragma once

#include <utility>

// A doubly linked list whose links are part of its elements. It allocates nothing. An element can
// leave in O(1) without access to the list, and its destructor removes it. To be on several lists
// at once, an element derives from one hook for each list; a tag distinguishes the hooks.

namespace tern::base {

/// The links of an element. They can be neither copied nor moved, because the neighbours point to
/// them.
class ListLink {
 public:
  ListLink() noexcept = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;
  ~ListLink() { unlink(); }

  /// Returns whether the element is on a list.
  bool linked() const noexcept { return next_ != nullptr; }
  /// Leaves the list. Does nothing if the element is on none.
  void unlink() noexcept {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }
  /// Inserts this link just before `place`. It must not be linked.
  void link_before(ListLink& place) noexcept {
    prev_ = place.prev_;
    next_ = &place;
    prev_->next_ = this;
    place.prev_ = this;
  }
  /// Makes this link a ring of one: the head of an empty list.
  void make_ring() noexcept { prev_ = next_ = this; }
  /// Moves all elements of the ring of `head` to just before this link; `head` stays as an empty
  /// ring. The ring must not be empty.
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

/// The base class of an element. `Tag` names the list that the hook is for.
template <class Tag>
class ListHook : public ListLink {};

/// A list of Ts, which derive from ListHook<Tag>. The list does not own its elements: its
/// destructor only unlinks them.
template <class T, class Tag>
class IntrusiveList {
 public:
  IntrusiveList() noexcept { head_.make_ring(); }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() { clear(); }

  bool empty() const noexcept { return head_.next() == &head_; }
  /// Appends `element`. It must not be on a list of this tag.
  void push_back(T& element) noexcept { hook(element).link_before(head_); }
  /// Returns the first element. The list must not be empty.
  T& front() noexcept { return static_cast<T&>(static_cast<ListHook<Tag>&>(*head_.next())); }
  /// Unlinks the first element and returns it. The list must not be empty.
  T& pop_front() noexcept {
    T& first = front();
    hook(first).unlink();
    return first;
  }
  /// Moves all elements of `other` to the end of this list.
  void take(IntrusiveList& other) noexcept {
    if (!other.empty()) head_.splice_before(other.head_);
  }
  /// Unlinks all elements.
  void clear() noexcept {
    while (!empty()) pop_front();
  }

 private:
  static ListHook<Tag>& hook(T& element) noexcept { return element; }

  ListLink head_{};
};

}  // namespace tern::base
