// UniqueFunction: where it stores its callable, and how long the callable lives.
#include "tern/unique_function.h"

#include <array>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using tern::UniqueFunction;

static_assert(!std::is_copy_constructible_v<UniqueFunction<void()>>);
static_assert(std::is_nothrow_move_constructible_v<UniqueFunction<void()>>);
static_assert(std::is_nothrow_move_assignable_v<UniqueFunction<void()>>);
static_assert(UniqueFunction<void()>::inline_bytes >= 48);
static_assert(!std::is_constructible_v<UniqueFunction<void()>, int>);
static_assert(!std::is_constructible_v<UniqueFunction<int()>, void (*)()>);

// Counts its living objects. A call returns the address of the object.
template <std::size_t Bytes, bool NothrowMove = true>
struct Counted {
  explicit Counted(int* living) : living_(living) { ++*living_; }
  Counted(Counted&& other) noexcept(NothrowMove) : living_(other.living_) { ++*living_; }
  ~Counted() { --*living_; }
  const void* operator()() { return this; }
  int* living_;
  std::array<char, Bytes - sizeof(int*)> padding_{};
};

bool inside(const void* address, const UniqueFunction<const void*()>& function) {
  const auto* const byte = static_cast<const char*>(address);
  const auto* const begin = reinterpret_cast<const char*>(&function);
  return byte >= begin && byte < begin + sizeof function;
}

template <class Callable>
void lives_and_dies(bool expect_inside) {
  int living = 0;
  {
    UniqueFunction<const void*()> first(Callable{&living});
    EXPECT_EQ(living, 1);
    EXPECT_EQ(inside(first(), first), expect_inside);
    UniqueFunction<const void*()> second(std::move(first));
    EXPECT_FALSE(first);
    EXPECT_TRUE(second);
    EXPECT_EQ(living, 1);
    EXPECT_EQ(inside(second(), second), expect_inside);
    UniqueFunction<const void*()> third(Callable{&living});
    EXPECT_EQ(living, 2);
    third = std::move(second);
    EXPECT_EQ(living, 1);
    EXPECT_EQ(inside(third(), third), expect_inside);
    third = nullptr;
    EXPECT_FALSE(third);
    EXPECT_EQ(living, 0);
    first = UniqueFunction<const void*()>(Callable{&living});
    EXPECT_EQ(living, 1);
  }
  EXPECT_EQ(living, 0);
}

TEST(UniqueFunction, SmallCallablesAreStoredInside) { lives_and_dies<Counted<48>>(true); }
TEST(UniqueFunction, LargeCallablesAreAllocated) { lives_and_dies<Counted<56>>(false); }
TEST(UniqueFunction, CallablesThatMayThrowWhenMovedAreAllocated) {
  lives_and_dies<Counted<16, false>>(false);
}

TEST(UniqueFunction, OverAlignedCallablesAreAligned) {
  struct alignas(64) Wide {
    const void* operator()() { return this; }
  };
  UniqueFunction<const void*()> function{Wide{}};
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(function()) % 64, 0u);
}

TEST(UniqueFunction, EmptyFunctionsConvertToFalse) {
  EXPECT_FALSE(UniqueFunction<void()>());
  EXPECT_FALSE(UniqueFunction<void()>(nullptr));
  EXPECT_FALSE(UniqueFunction<void()>(static_cast<void (*)()>(nullptr)));
  EXPECT_FALSE(UniqueFunction<void()>(std::function<void()>()));
  EXPECT_TRUE(UniqueFunction<void()>([] {}));
  EXPECT_TRUE(UniqueFunction<void()>(std::function<void()>([] {})));
  int (std::string::*no_member)() = nullptr;
  EXPECT_FALSE(UniqueFunction<int(std::string&)>(no_member));
}

int twice(int number) { return 2 * number; }

TEST(UniqueFunction, TakesAPlainFunction) {
  EXPECT_EQ(UniqueFunction<int(int)>(twice)(3), 6);
  EXPECT_EQ(UniqueFunction<int(int)>(&twice)(3), 6);
}

TEST(UniqueFunction, PassesArgumentsAndResults) {
  UniqueFunction<std::string(std::string, const char*)> join(
      [](std::string a, const char* b) { return a + b; });
  EXPECT_EQ(join("one", "two"), "onetwo");
  UniqueFunction<int&(int&)> same([](int& value) -> int& { return value; });
  int value = 7;
  EXPECT_EQ(&same(value), &value);
  UniqueFunction<std::unique_ptr<int>(std::unique_ptr<int>)> through(
      [](std::unique_ptr<int> owned) { return owned; });
  EXPECT_EQ(*through(std::make_unique<int>(9)), 9);
  UniqueFunction<void()> drops_the_result([] { return 3; });
  drops_the_result();
  UniqueFunction<std::size_t(const std::string&)> member(&std::string::size);
  EXPECT_EQ(member("four"), 4u);
}

TEST(UniqueFunction, HoldsMoveOnlyAndMutableCallables) {
  UniqueFunction<int()> count([owned = std::make_unique<int>(0)]() mutable { return ++*owned; });
  EXPECT_EQ(count(), 1);
  EXPECT_EQ(count(), 2);
  UniqueFunction<int()> moved = std::move(count);
  EXPECT_EQ(moved(), 3);
}

TEST(UniqueFunction, PassesExceptionsToTheCaller) {
  UniqueFunction<void()> throws([] { throw std::runtime_error("out"); });
  EXPECT_THROW(throws(), std::runtime_error);
  EXPECT_TRUE(throws);
}

TEST(UniqueFunction, SurvivesSelfMove) {
  UniqueFunction<int()> function([] { return 5; });
  UniqueFunction<int()>& alias = function;
  function = std::move(alias);
  EXPECT_EQ(function(), 5);
}

TEST(UniqueFunction, IsEmptyWhileItsCallableIsDestroyed) {
  UniqueFunction<void()> function;
  bool was_empty = false;
  struct Looks {
    Looks(UniqueFunction<void()>* whose, bool* seen) : whose_(whose), seen_(seen) {}
    Looks(Looks&& other) noexcept
        : whose_(std::exchange(other.whose_, nullptr)), seen_(other.seen_) {}
    ~Looks() {
      if (whose_ != nullptr) *seen_ = !*whose_;
    }
    void operator()() {}
    UniqueFunction<void()>* whose_;
    bool* seen_;
  };
  function = UniqueFunction<void()>(Looks(&function, &was_empty));
  function = nullptr;
  EXPECT_TRUE(was_empty);
}

TEST(UniqueFunction, VectorsOfFunctionsCanGrow) {
  std::vector<UniqueFunction<int()>> functions;
  for (int i = 0; i < 100; ++i) {
    functions.emplace_back([i, owned = std::make_unique<int>(i)] { return i + *owned; });
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(functions[static_cast<std::size_t>(i)](), 2 * i);
}

}  // namespace
