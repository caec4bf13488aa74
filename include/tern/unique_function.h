// UniqueFunction: owns a callable of any type. post(), timers and handlers use it.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace tern {

template <class Signature>
class UniqueFunction;

/// Owns a callable, which may be move-only, and calls it. Callables of up to 48 bytes that move
/// without throwing are stored inside, others on the heap. A move never throws and leaves an empty
/// object.
template <class R, class... A>
class UniqueFunction<R(A...)> {
 public:
  /// Larger callables are allocated on the heap.
  static constexpr std::size_t inline_bytes = 48;

  /// Makes an empty object.
  UniqueFunction() noexcept = default;
  UniqueFunction(std::nullptr_t) noexcept {}

  /// Stores `callable`; a null function pointer or an empty std::function makes an empty object.
  /// Throws only the exceptions of the callable's copy and of its allocation.
  template <class F, class D = std::decay_t<F>>
  requires(!std::is_same_v<D, UniqueFunction> && std::is_invocable_r_v<R, D&, A...>)
      UniqueFunction(F&& callable) {
    // A reference to a function is never null, and g++ warns of such a check.
    if constexpr (!std::is_function_v<std::remove_reference_t<F>> &&
                  std::is_constructible_v<bool, const D&> &&
                  std::is_constructible_v<D, std::nullptr_t>) {
      if (!static_cast<bool>(callable)) return;
    }
    if constexpr (fits<D>) {
      ::new (static_cast<void*>(buffer_)) D(std::forward<F>(callable));
    } else {
      D* const made = new D(std::forward<F>(callable));
      std::memcpy(buffer_, &made, sizeof made);
    }
    call_ = &call<D>;
    if constexpr (!(fits<D> && std::is_trivially_copyable_v<D>)) manage_ = &manage<D>;
  }

  UniqueFunction(UniqueFunction&& other) noexcept { take(other); }
  UniqueFunction& operator=(UniqueFunction&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  UniqueFunction& operator=(std::nullptr_t) noexcept {
    reset();
    return *this;
  }
  ~UniqueFunction() { reset(); }

  /// Whether it has a callable.
  explicit operator bool() const noexcept { return call_ != nullptr; }

  /// Calls the callable. It must not be empty.
  R operator()(A... arguments) { return call_(buffer_, std::forward<A>(arguments)...); }

 private:
  enum class Task { destroy, move_to };

  template <class D>
  static constexpr bool fits =
      sizeof(D) <= inline_bytes &&
      alignof(D) <= alignof(void*) && std::is_nothrow_move_constructible_v<D>;

  template <class D>
  static D* target(std::byte* buffer) noexcept {
    if constexpr (fits<D>) {
      return std::launder(reinterpret_cast<D*>(buffer));
    } else {
      D* held;
      std::memcpy(&held, buffer, sizeof held);
      return held;
    }
  }

  template <class D>
  static R call(std::byte* buffer, A&&... arguments) {
    if constexpr (std::is_void_v<R>) {
      std::invoke(*target<D>(buffer), std::forward<A>(arguments)...);
    } else {
      return std::invoke(*target<D>(buffer), std::forward<A>(arguments)...);
    }
  }

  template <class D>
  static void manage(Task task, std::byte* from, std::byte* to) noexcept {
    D* const held = target<D>(from);
    if constexpr (fits<D>) {
      if (task == Task::move_to) ::new (static_cast<void*>(to)) D(std::move(*held));
      std::destroy_at(held);
    } else {
      if (task == Task::move_to) {
        std::memcpy(to, from, sizeof held);
      } else {
        delete held;
      }
    }
  }

  void take(UniqueFunction& other) noexcept {
    if (other.manage_ != nullptr) {
      other.manage_(Task::move_to, other.buffer_, buffer_);
    } else {
      std::memcpy(buffer_, other.buffer_, inline_bytes);
    }
    call_ = std::exchange(other.call_, nullptr);
    manage_ = std::exchange(other.manage_, nullptr);
  }

  // Empties the object first, because the destructor of the callable may look at it.
  void reset() noexcept {
    call_ = nullptr;
    if (const auto manage = std::exchange(manage_, nullptr)) {
      manage(Task::destroy, buffer_, nullptr);
    }
  }

  alignas(void*) std::byte buffer_[inline_bytes]{};
  R (*call_)(std::byte*, A&&...) = nullptr;
  void (*manage_)(Task, std::byte*, std::byte*) noexcept = nullptr;  // null: plain bytes
};

}  // namespace tern
