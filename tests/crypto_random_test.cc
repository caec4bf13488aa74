// Random bytes: how often the source is called, what happens when it fails, and that a parent and
// its child share no bytes. The tests replace the source of libcrypto.
#include "crypto/random.h"

#include <gtest/gtest.h>
#define OPENSSL_SUPPRESS_DEPRECATED  // RAND_set_rand_method: a source that counts and fails
#include "tern/error.h"

#include "support/guard_page.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <openssl/rand.h>
#include <set>
#include <span>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::crypto {
namespace {

struct Source {
  static inline int calls = 0;
  static inline bool fails = false;

  static int bytes(unsigned char* to, int size) {
    ++calls;
    if (!fails) return RAND_OpenSSL()->bytes(to, size);
    std::fill_n(to, size / 2, static_cast<unsigned char>(0xAA));  // fails half-way
    return 0;
  }
};

// Makes RAND_bytes use a source that counts its calls, for the duration of a test.
class RandomTest : public testing::Test {
 protected:
  RandomTest() {
    Source::calls = 0;
    Source::fails = false;
    RAND_set_rand_method(&method_);
  }
  ~RandomTest() override { RAND_set_rand_method(nullptr); }

 private:
  static constexpr RAND_METHOD method_{nullptr, &Source::bytes, nullptr, nullptr, nullptr, nullptr};
};

std::vector<std::uint32_t> draw(Random& random, std::size_t count) {
  std::vector<std::uint32_t> keys;
  for (std::size_t i = 0; i < count; ++i) {
    const auto key = random.draw_key();
    if (!key) break;
    keys.push_back(*key);
  }
  return keys;
}

TEST_F(RandomTest, Rfc6455_10_3_KeysDiffer) {
  Random random;
  const auto keys = draw(random, 10000);
  ASSERT_EQ(keys.size(), 10000U);
  const std::set<std::uint32_t> different(keys.begin(), keys.end());
  EXPECT_GT(different.size(), 9990U);  // the expected number of collisions is 0.01
  // Every bit is set in about half of the keys. The tolerance is 10 standard deviations.
  for (unsigned bit = 0; bit < 32; ++bit) {
    const auto ones = std::ranges::count_if(keys, [=](auto key) { return (key >> bit & 1) != 0; });
    EXPECT_NEAR(static_cast<double>(ones), 5000.0, 500.0) << bit;
  }
}

TEST_F(RandomTest, CallsTheSourceOncePerPage) {
  Random random;
  EXPECT_EQ(Source::calls, 0) << "the constructor called the source";
  ASSERT_EQ(draw(random, 1000).size(), 1000U);
  EXPECT_EQ(Source::calls, 1);
  ASSERT_EQ(draw(random, 24).size(), 24U);
  EXPECT_EQ(Source::calls, 2);
}

TEST_F(RandomTest, FillsEveryLengthAndWritesNothingOutside) {
  Random random;
  const test::GuardPage page(8192);
  for (const std::size_t size :
       {0U, 1U, 3U, 4U, 16U, 1022U, 1023U, 1024U, 4091U, 4092U, 4093U, 8192U}) {
    for (const auto span : {page.at_end(size), page.at_begin(size)}) {
      // Each round has another background, so a byte that equals it in every round was not written.
      std::vector<bool> changed(size);
      for (int round = 0; round < 16; ++round) {
        const std::byte background{static_cast<unsigned char>(round)};
        std::ranges::fill(span, background);
        ASSERT_FALSE(random.fill(span));
        for (std::size_t i = 0; i < size; ++i) changed[i] = changed[i] || span[i] != background;
      }
      EXPECT_EQ(std::ranges::count(changed, false), 0) << size;
    }
  }
}

TEST_F(RandomTest, FillsOfOddLengthsRepeatNoBytes) {
  Random random;
  std::set<std::array<std::byte, 16>> seen;
  for (std::size_t i = 0; i < 1000; ++i) {
    std::array<std::byte, 16> key;
    std::array<std::byte, 3> odd;
    ASSERT_FALSE(random.fill(key));
    ASSERT_FALSE(random.fill(odd));
    EXPECT_TRUE(seen.insert(key).second);
  }
}

TEST_F(RandomTest, Rfc6455_10_3_ReportsAFailureOfTheSource) {
  Random random;
  Source::fails = true;
  std::array<std::byte, 16> key{};
  std::vector<std::byte> large(5000);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(random.draw_key());
    EXPECT_EQ(random.fill(key), Errc::random_unavailable);
    EXPECT_EQ(random.fill(large), Errc::random_unavailable);
  }
  EXPECT_EQ(key, (std::array<std::byte, 16>{})) << "a failed fill wrote bytes";
  EXPECT_EQ(Source::calls, 9);
  Source::fails = false;
  EXPECT_TRUE(random.draw_key()) << "the source works again";
  EXPECT_FALSE(random.fill(key));
}

TEST_F(RandomTest, ReportsAFailureOnlyWhenThePageIsUsedUp) {
  Random random;
  ASSERT_EQ(draw(random, 1).size(), 1U);
  Source::fails = true;
  EXPECT_EQ(draw(random, 5000).size(), 1022U) << "4092 bytes are 1023 keys";
}

TEST_F(RandomTest, MovingTakesTheBlockAlong) {
  Random random;
  ASSERT_TRUE(random.draw_key());
  Random moved = std::move(random);
  EXPECT_TRUE(moved.draw_key());
  EXPECT_EQ(Source::calls, 1);
  random = Random();
  EXPECT_TRUE(random.draw_key());
}

// Runs `child` in a fork. Its result comes back through a pipe.
std::vector<std::uint32_t> in_child(const std::function<std::vector<std::uint32_t>()>& child) {
  int ends[2];
  if (::pipe(ends) != 0) return {};
  const pid_t pid = ::fork();
  if (pid == 0) {
    const std::vector<std::uint32_t> result = child();
    std::span<const std::byte> rest = std::as_bytes(std::span(result));
    while (!rest.empty()) {
      const ssize_t written = ::write(ends[1], rest.data(), rest.size());
      if (written <= 0) ::_exit(1);
      rest = rest.subspan(static_cast<std::size_t>(written));
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::vector<std::uint32_t> result;
  std::vector<std::byte> bytes;
  std::array<std::byte, 4096> piece;
  for (ssize_t got; (got = ::read(ends[0], piece.data(), piece.size())) > 0;)
    bytes.insert(bytes.end(), piece.begin(), piece.begin() + got);
  ::close(ends[0]);
  int status = -1;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || status != 0) return {};
  result.resize(bytes.size() / sizeof(std::uint32_t));
  std::memcpy(result.data(), bytes.data(), result.size() * sizeof(std::uint32_t));
  return result;
}

TEST_F(RandomTest, Rfc6455_10_3_ParentAndChildShareNoKey) {
  constexpr std::size_t count = 10000;
  Random random;
  ASSERT_EQ(draw(random, 10).size(),
            10U);  // the block still holds 1013 keys, which a plain buffer would share
  const auto theirs = in_child([&] { return draw(random, count); });
  ASSERT_EQ(Source::calls, 1);
  const auto ours = draw(random, count);
  ASSERT_EQ(theirs.size(), count);
  ASSERT_EQ(ours.size(), count);
  std::size_t equal = 0;
  for (std::size_t i = 0; i < count; ++i) equal += ours[i] == theirs[i];
  EXPECT_EQ(equal, 0U);
  // Keys at different places differ too. Of 10^8 pairs 0.02 are equal by chance, so one equal pair
  // is not a failure.
  const std::set<std::uint32_t> known(ours.begin(), ours.end());
  const auto shared =
      std::ranges::count_if(theirs, [&](auto key) { return known.count(key) != 0; });
  EXPECT_LE(shared, 1);
}

// The reason for the rule above: the child's block is empty, the parent's is not.
TEST_F(RandomTest, Rfc6455_10_3_OnlyTheChildCallsTheSourceAgain) {
  Random random;
  ASSERT_TRUE(random.draw_key());
  ASSERT_EQ(Source::calls, 1);
  const auto calls = in_child([&] {
    static_cast<void>(random.draw_key());
    return std::vector<std::uint32_t>{static_cast<std::uint32_t>(Source::calls)};
  });
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0], 2U);
  ASSERT_TRUE(random.draw_key());
  EXPECT_EQ(Source::calls, 1);
}

}  // namespace
}  // namespace tern::crypto
