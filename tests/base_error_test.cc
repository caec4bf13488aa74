// Errc with its texts and close codes, Error, and Result.
#include "tern/error.h"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <new>
#include <set>
#include <string>
#include <vector>

namespace {
thread_local bool memory_is_gone = false;
}

// These functions are not inlined, because g++ would warn that free() gets memory from `new`.
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* memory = memory_is_gone ? nullptr : std::malloc(size);
  if (!memory) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace tern {
namespace {

constexpr int last = static_cast<int>(Errc::proxy_header_invalid);

Error forbidden() {
  return Error(
      Errc::upgrade_refused, "upgrade localhost:9001",
      {.status = 403, .fields = {{"X-Why", "no"}, {"x-why", "second"}}, .body = "go away"});
}

TEST(Errc, EachHasADistinctText) {
  std::set<std::string> texts;
  for (int value = 1; value <= last; ++value) {
    const std::string text = error_category().message(value);
    EXPECT_NE(text, error_category().message(0)) << value;
    EXPECT_TRUE(texts.insert(text).second) << text;
  }
  EXPECT_EQ(error_category().message(0), "unknown error");
  EXPECT_EQ(error_category().message(last + 1), "unknown error") << "a new Errc: raise `last`";
}

// The names of the enumerators, read from the header.
std::vector<std::string> names_in_the_header() {
  std::ifstream file(TERN_SOURCE_DIR "/include/tern/error.h");
  std::vector<std::string> names;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line == "enum class Errc {") inside = true;
    if (line == "};") inside = false;
    const std::size_t end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789", 2);
    if (inside && line.starts_with("  ") && end > 2 && end != line.npos) {
      names.push_back(line.substr(2, end - 2));
    }
  }
  return names;
}

TEST(Errc, EachHasTheNameOfItsEnumerator) {
  std::vector<std::string> names;
  for (int value = 1; value <= last; ++value) {
    names.emplace_back(errc_name(static_cast<Errc>(value)));
  }
  EXPECT_EQ(names, names_in_the_header());
  EXPECT_EQ(errc_name(Errc::origin_refused), "origin_refused");
  EXPECT_EQ(errc_name(Errc{}), "unknown");
}

TEST(Errc, ConvertsToAnErrorCodeOfTern) {
  const std::error_code code = Errc::timed_out;
  EXPECT_STREQ(code.category().name(), "tern");
  EXPECT_EQ(code, Errc::timed_out);
  EXPECT_NE(code, Errc::closed);
  EXPECT_EQ(code.message(), "the deadline passed");
}

TEST(Errc, Rfc6455_5_5_1_EachTextFitsACloseFrame) {
  for (int value = 1; value <= last; ++value) {
    const auto errc = static_cast<Errc>(value);
    EXPECT_EQ(close_reason(errc), make_error_code(errc).message());
    EXPECT_LE(close_reason(errc).size(), 123u) << close_reason(errc);
  }
}

TEST(Errc, Rfc6455_7_4_1_EachHasItsCloseCode) {
  for (int value = 1; value <= last; ++value) {
    const auto errc = static_cast<Errc>(value);
    CloseCode expected = CloseCode::protocol_error;
    switch (errc) {
      case Errc::text_not_utf8:
      case Errc::deflate_corrupt:
      case Errc::close_reason_not_utf8:
        expected = CloseCode::invalid_payload;
        break;
      case Errc::message_too_big:
        expected = CloseCode::message_too_big;
        break;
      case Errc::too_many_fragments:
      case Errc::peer_too_slow:
        expected = CloseCode::policy_violation;
        break;
      case Errc::no_memory:
      case Errc::random_unavailable:
      case Errc::handler_threw:
        expected = CloseCode::internal_error;
        break;
      case Errc::handshake_timeout:
      case Errc::pong_timeout:
      case Errc::close_timeout:
      case Errc::write_stalled:
      case Errc::timed_out:
        expected = CloseCode::going_away;
        break;
      default:
        break;
    }
    EXPECT_EQ(close_code(errc), expected) << error_category().message(value);
    EXPECT_TRUE(may_be_sent(close_code(errc)));
  }
}

TEST(Error, MessageNamesStageAndReason) {
  EXPECT_EQ(Error(Errc::closed).message(), "the connection has ended");
  EXPECT_EQ(Error({ECONNREFUSED, std::system_category()}, "connect 127.0.0.1:9001").message(),
            "connect 127.0.0.1:9001: Connection refused");
  EXPECT_EQ(forbidden().message(),
            "upgrade localhost:9001: the server did not switch to WebSocket (HTTP 403 Forbidden): "
            "go away");
  EXPECT_EQ(Error(Errc::upgrade_refused, "", {.status = 299}).message(),
            "the server did not switch to WebSocket (HTTP 299)");
}

TEST(Error, MessageEndsWithTheFirstLineOfAPlainBody) {
  const std::string plain = "the server did not switch to WebSocket (HTTP 404 Not Found)";
  const auto message = [](std::string body) {
    return Error(Errc::upgrade_refused, "", {.status = 404, .body = std::move(body)}).message();
  };
  EXPECT_EQ(message("no such room\r\nand more"), plain + ": no such room");
  EXPECT_EQ(message(R"({"error":"no such room"})"), plain + R"(: {"error":"no such room"})");
  EXPECT_EQ(message(std::string(200, 'x')), plain + ": " + std::string(200, 'x'));
  for (const std::string body :
       {"", "Not Found", "Not Found\n", "<html>", "\x1B[2J", "\xC3\xA9", "\nsecond line"}) {
    EXPECT_EQ(message(body), plain) << body;
  }
  EXPECT_EQ(message(std::string(201, 'x')), plain);
}

TEST(Error, DescribedErrorHasOnlyItsText) {
  const Error error = Error::described(Errc::closed, "it was closed with 1000 (normal)");
  EXPECT_EQ(error.code(), Errc::closed);
  EXPECT_EQ(error.message(), "it was closed with 1000 (normal)");
  EXPECT_EQ(Error(error).message(), error.message());
}

TEST(Error, GivesAccessToTheRefusal) {
  const Error error = forbidden();
  EXPECT_EQ(error.code(), Errc::upgrade_refused);
  EXPECT_EQ(error.http_status(), 403);
  EXPECT_EQ(error.header("X-WHY"), "no");
  EXPECT_EQ(error.header("X-Wh"), "");
  EXPECT_EQ(error.header("X-Whz"), "");
  EXPECT_EQ(error.body(), "go away");
  EXPECT_EQ(Error(Errc::closed).http_status(), 0);
  EXPECT_EQ(Error(Errc::closed).body(), "");
}

TEST(Error, IsOnePointerAndCopiesShare) {
  EXPECT_EQ(sizeof(Error), sizeof(void*));
  Error copy(Errc::closed);
  {
    const Error original = forbidden();
    copy = original;
    EXPECT_EQ(copy.body().data(), original.body().data());
  }
  EXPECT_EQ(copy.body(), "go away");
  copy = static_cast<const Error&>(copy);
  EXPECT_EQ(copy.body(), "go away");
}

TEST(Error, MovedFromIsEmpty) {
  Error source = forbidden();
  const Error target = std::move(source);
  EXPECT_EQ(target.http_status(), 403);
  EXPECT_FALSE(source.code());  // NOLINT: a moved-from Error has a defined state
  EXPECT_EQ(source.message(), "");
  EXPECT_EQ(source.http_status(), 0);
  EXPECT_EQ(source.header("X-Why"), "");
  EXPECT_EQ(source.body(), "");
  const Error copy = source;
  EXPECT_FALSE(copy.code());
}

TEST(Error, WithoutMemoryBecomesNoMemoryAndDoesNotThrow) {
  for (int round = 0; round < 3; ++round) {  // copies never destroy the static box
    memory_is_gone = true;
    Error error(Errc::closed, "a stage that is too long to be stored inside of a string object");
    const Error copy = error;
    const Error with_refusal(Errc::upgrade_refused, "stage", {});
    const Error moved = std::move(error);
    memory_is_gone = false;
    EXPECT_EQ(copy.code(), Errc::no_memory);
    EXPECT_EQ(moved.code(), Errc::no_memory);
    EXPECT_EQ(with_refusal.code(), Errc::no_memory);
    EXPECT_EQ(copy.message(), "out of memory");
  }
}

TEST(Result, ValueThrowsTheError) {
  Result<int> good(7);
  EXPECT_TRUE(good);
  EXPECT_EQ(good.value(), 7);
  Result<int> bad(Errc::timed_out);
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), Errc::timed_out);
  try {
    bad.value();
    FAIL() << "did not throw";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), Errc::timed_out);
  }
  EXPECT_TRUE(Result<void>());
  EXPECT_THROW(Result<void>(Errc::closed).value(), std::system_error);
}

}  // namespace
}  // namespace tern
