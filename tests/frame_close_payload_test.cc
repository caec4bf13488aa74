// The payload of a Close frame (RFC 6455 §5.5.1, §7.4), decoded and encoded.
#include "frame/close_payload.h"
#include "support/guard_page.h"

#include <array>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

namespace tern::frame {
namespace {

using test::GuardPage;

std::string code_bytes(int code) {
  return {static_cast<char>(code / 256), static_cast<char>(code % 256)};
}

ClosePayload decode(std::string_view payload, std::string& reason) {
  static const GuardPage page(max_control_payload);
  ClosePayload result = decode_close(page.copy_at_end(payload));
  reason = result.reason;  // the next call overwrites the page
  result.reason = {};
  return result;
}

std::string encode(CloseCode code, std::string_view reason) {
  static const GuardPage page(std::size_t{1024});
  const std::span<const std::byte> guarded = page.copy_at_end(reason);
  std::array<std::byte, max_control_payload> out{};
  const std::size_t size =
      encode_close(out, code, {reinterpret_cast<const char*>(guarded.data()), guarded.size()});
  return {reinterpret_cast<const char*>(out.data()), size};
}

// The codes that RFC 6455 §7.4 and the IANA registry allow in a Close frame.
std::set<int> allowed_codes() {
  std::set<int> codes{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014};
  for (int code = 3000; code <= 4999; ++code) codes.insert(code);
  return codes;
}

TEST(FrameClosePayload, Rfc6455_7_4_AcceptsOnlyTheAllowedCodes) {
  const std::set<int> allowed = allowed_codes();
  for (int code = 0; code <= 0xFFFF; ++code) {
    std::string reason;
    const ClosePayload payload = decode(code_bytes(code) + "why", reason);
    if (allowed.contains(code)) {
      ASSERT_EQ(payload.error, Errc{}) << code;
      ASSERT_EQ(static_cast<int>(payload.code), code);
      ASSERT_EQ(reason, "why");
    } else {
      ASSERT_EQ(payload.error, Errc::close_code_invalid) << code;
    }
    ASSERT_EQ(to_close_code(code).has_value(), allowed.contains(code)) << code;
  }
  EXPECT_FALSE(to_close_code(-1));
  EXPECT_FALSE(to_close_code(0x10000 + 1000));
}

TEST(FrameClosePayload, Rfc6455_5_5_1_EmptyMeansNoStatus) {
  std::string reason;
  const ClosePayload payload = decode("", reason);
  EXPECT_EQ(payload.error, Errc{});
  EXPECT_EQ(payload.code, CloseCode::no_status);
  EXPECT_EQ(reason, "");
}

TEST(FrameClosePayload, Rfc6455_5_5_1_RejectsAPayloadOfOneByte) {
  for (int byte = 0; byte < 256; ++byte) {
    std::string reason;
    const ClosePayload payload = decode(std::string(1, static_cast<char>(byte)), reason);
    EXPECT_EQ(payload.error, Errc::close_payload_too_short);
  }
}

struct Reason {
  const char* name;
  std::string reason;
  bool utf8;
};

std::vector<Reason> reasons() {
  return {
      {"none", "", true},
      {"ASCII", "going home", true},
      {"NUL", std::string(1, '\0'), true},
      {"123 bytes", std::string(123, '*'), true},
      {"two bytes a character", "\xCE\xBA\xCF\x8C", true},
      {"U+10FFFF", "\xF4\x8F\xBF\xBF", true},
      {"above U+10FFFF", "\xF4\x90\x80\x80", false},
      {"surrogate", "\xED\xA0\x80", false},
      {"overlong", "\xC0\xAF", false},
      {"cut", "ab\xE2\x82", false},
      {"continuation alone", "\x80", false},
      {"FF at the end of 123", std::string(122, 'x') + "\xFF", false},
  };
}

TEST(FrameClosePayload, Rfc6455_5_5_1_RejectsAReasonThatIsNotUtf8) {
  for (const Reason& row : reasons()) {
    SCOPED_TRACE(row.name);
    std::string reason;
    const ClosePayload payload = decode(code_bytes(1000) + row.reason, reason);
    EXPECT_EQ(payload.error, row.utf8 ? Errc{} : Errc::close_reason_not_utf8);
    EXPECT_EQ(reason, row.utf8 ? row.reason : "");
  }
}

TEST(FrameClosePayload, Rfc6455_7_4_ReportsABadCodeBeforeABadReason) {
  std::string reason;
  EXPECT_EQ(decode(code_bytes(1005) + "\xFF", reason).error, Errc::close_code_invalid);
}

TEST(FrameClosePayload, Rfc6455_5_5_1_DecodingRestoresWhatIsEncoded) {
  for (const Reason& row : reasons()) {
    SCOPED_TRACE(row.name);
    for (const int code : allowed_codes()) {
      const std::string wire = encode(static_cast<CloseCode>(code), row.reason);
      ASSERT_EQ(wire, code_bytes(code) + (row.utf8 ? row.reason : ""));
      std::string reason;
      const ClosePayload payload = decode(wire, reason);
      ASSERT_EQ(payload.error, Errc{});
      ASSERT_EQ(static_cast<int>(payload.code), code);
      ASSERT_EQ(reason, row.utf8 ? row.reason : "");
    }
  }
}

TEST(FrameClosePayload, Rfc6455_7_4_EncodesOnlyTheAllowedCodes) {
  const std::set<int> allowed = allowed_codes();
  for (int code = 0; code <= 0xFFFF; ++code) {
    const std::string wire = encode(static_cast<CloseCode>(code), "x");
    if (code == 1005) {
      ASSERT_EQ(wire, "");
    } else {
      ASSERT_EQ(wire, code_bytes(allowed.contains(code) ? code : 1011) + "x") << code;
    }
  }
}

TEST(FrameClosePayload, Rfc6455_5_5_CutsALongReasonAtACharacter) {
  const std::vector<std::string> characters = {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8D"};
  for (const std::string& character : characters) {
    for (std::size_t ahead = 100; ahead <= 130; ++ahead) {
      std::string reason(ahead, '.');
      while (reason.size() < 200) reason += character;
      std::string expected(std::min<std::size_t>(ahead, 123), '.');
      while (expected.size() + character.size() <= 123) expected += character;
      ASSERT_EQ(encode(CloseCode::normal, reason), code_bytes(1000) + expected) << ahead;
    }
  }
}

TEST(FrameClosePayload, Rfc6455_5_5_OmitsALongReasonThatIsNotUtf8) {
  EXPECT_EQ(encode(CloseCode::normal, std::string(200, '\x80')), code_bytes(1000));
  EXPECT_EQ(encode(CloseCode::normal, "\xFF" + std::string(200, 'a')), code_bytes(1000));
  EXPECT_EQ(encode(CloseCode::normal, std::string(123, 'a') + "\xFF"),
            code_bytes(1000) + std::string(123, 'a'));
}

}  // namespace
}  // namespace tern::frame
