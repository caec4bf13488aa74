// The negotiation of RFC 7692 §7.1: the answers of a server to offers, and how a client checks
// them.
#include "deflate/params.h"
#include "support/guard_page.h"

#include <gtest/gtest.h>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern::deflate {
namespace {

// Header lines whose values end at a guard page.
class Fields {
 public:
  explicit Fields(const std::vector<std::string>& lines) {
    fields_.push_back({"Host", "permessage-deflate"});
    for (const std::string& line : lines) {
      fields_.push_back({"sec-websocket-extensions", pages_.emplace_back(line).text()});
    }
  }
  std::span<const HeaderField> get() const { return fields_; }

 private:
  std::list<test::GuardPage> pages_{};
  std::vector<HeaderField> fields_{};
};

// The answer to these lines of offers; "" if all are declined, "(off)" if compression is off.
std::string answered(const std::vector<std::string>& lines, const Deflate& options = {}) {
  const auto usable_options = usable(options);
  if (!usable_options) return "(off)";
  const auto accepted = accept_offer(Fields(lines).get(), *usable_options);
  return accepted ? answer_text(*accepted) : "";
}

DeflateAgreement agreed(const std::string& offer, const Deflate& options = {}) {
  return accept_offer(Fields({offer}).get(), *usable(options)).value().agreed;
}

const std::string pmd = "permessage-deflate";
const std::string no_takeover = "; server_no_context_takeover; client_no_context_takeover";
const Deflate both{.takeover = true, .peer_takeover = true};

struct OfferRow {
  const char* id;
  std::vector<std::string> offers;
  std::string answer;
  Deflate options{};
};
const std::vector<OfferRow> offer_table = {
    {"none", {}, ""},
    {"plain", {pmd}, pmd + no_takeover},
    {"plain, takeover", {pmd}, pmd, both},
    {"case of the name", {"Permessage-Deflate"}, ""},
    {"another extension", {"x-webkit-deflate-frame"}, ""},
    {"ours behind another", {"foo; bar=\"baz\", permessage-deflate"}, pmd + no_takeover},
    {"ours in another line", {"foo", "permessage-deflate"}, pmd + no_takeover},
    {"empty elements", {", ,permessage-deflate,"}, pmd + no_takeover},
    // §7.1.1
    {"the client wants no takeover of ours",
     {pmd + "; server_no_context_takeover"},
     pmd + "; server_no_context_takeover",
     both},
    {"the client takes nothing over",
     {pmd + "; client_no_context_takeover"},
     pmd + "; client_no_context_takeover",
     both},
    {"flag with a value", {pmd + "; server_no_context_takeover=1"}, ""},
    {"flag with an empty value", {pmd + "; client_no_context_takeover=\"\""}, ""},
    {"flag twice", {pmd + "; server_no_context_takeover; server_no_context_takeover"}, ""},
    {"other flag twice", {pmd + "; client_no_context_takeover;client_no_context_takeover"}, ""},
    // §7.1.2.1
    {"our window",
     {pmd + "; server_max_window_bits=10"},
     pmd + "; server_max_window_bits=10",
     both},
    {"our window, whole",
     {pmd + ";server_max_window_bits=15"},
     pmd + "; server_max_window_bits=15",
     both},
    {"our window is smaller anyway",
     {pmd + "; server_max_window_bits=12"},
     pmd + "; server_max_window_bits=11",
     {.window_bits = 11, .takeover = true, .peer_takeover = true}},
    {"our window, not requested",
     {pmd},
     pmd + "; server_max_window_bits=11",
     {.window_bits = 11, .takeover = true, .peer_takeover = true}},
    {"quoted", {pmd + "; server_max_window_bits=\"9\""}, pmd + "; server_max_window_bits=9", both},
    {"quoted pair",
     {pmd + "; server_max_window_bits=\"1\\0\""},
     pmd + "; server_max_window_bits=10",
     both},
    {"white space",
     {pmd + " ;\tserver_max_window_bits = 9 "},
     pmd + "; server_max_window_bits=9",
     both},
    {"zlib cannot do 8", {pmd + "; server_max_window_bits=8"}, ""},
    {"8, then something else", {pmd + "; server_max_window_bits=8, " + pmd}, pmd, both},
    {"8, then something else in another line",
     {pmd + "; server_max_window_bits=8", pmd + "; server_max_window_bits=9"},
     pmd + "; server_max_window_bits=9",
     both},
    {"our window twice", {pmd + "; server_max_window_bits=9; server_max_window_bits=9"}, ""},
    {"our window without a value", {pmd + "; server_max_window_bits"}, ""},
    // §7.1.2.2
    {"the client can limit its own", {pmd + "; client_max_window_bits"}, pmd, both},
    {"the server limits the window of the client",
     {pmd + "; client_max_window_bits"},
     pmd + "; client_max_window_bits=10",
     {.peer_window_bits = 10, .takeover = true, .peer_takeover = true}},
    {"it names a smaller one",
     {pmd + "; client_max_window_bits=9"},
     pmd + "; client_max_window_bits=9",
     {.peer_window_bits = 10, .takeover = true, .peer_takeover = true}},
    {"it names a larger one",
     {pmd + "; client_max_window_bits=14"},
     pmd + "; client_max_window_bits=10",
     {.peer_window_bits = 10, .takeover = true, .peer_takeover = true}},
    {"8, which zlib can inflate",
     {pmd + "; client_max_window_bits=8"},
     pmd + "; client_max_window_bits=8",
     both},
    {"it cannot limit its own: no takeover",
     {pmd},
     pmd + "; client_no_context_takeover",
     {.peer_window_bits = 10, .takeover = true, .peer_takeover = true}},
    {"its window twice", {pmd + "; client_max_window_bits; client_max_window_bits=9"}, ""},
    // unknown parameters
    {"unknown", {pmd + "; mux"}, ""},
    {"unknown with a value", {pmd + "; x=1"}, ""},
    {"case of a parameter", {pmd + "; Server_No_Context_Takeover"}, ""},
    {"fallback",
     {pmd + "; mux, " + pmd + "; server_max_window_bits=9"},
     pmd + "; server_max_window_bits=9",
     both},
    // offers of browsers and libraries
    {"Chromium", {pmd + "; client_max_window_bits"}, pmd + no_takeover},
    {"Firefox", {pmd}, pmd + no_takeover},
    {"all four",
     {pmd + "; server_no_context_takeover; client_no_context_takeover; "
            "server_max_window_bits=12; client_max_window_bits=13"},
     pmd + no_takeover + "; server_max_window_bits=12; client_max_window_bits=13"},
    // options
    {"off", {pmd}, "(off)", {.level = 0}},
    {"bounds of the options",
     {pmd + "; client_max_window_bits"},
     pmd + no_takeover + "; server_max_window_bits=9; client_max_window_bits=9",
     {.level = 99, .window_bits = -1, .memory_level = 77, .peer_window_bits = 1}},
};

TEST(DeflateParams, Rfc7692_7_1_AServerAnswersOffers) {
  for (const OfferRow& row : offer_table) {
    EXPECT_EQ(answered(row.offers, row.options), row.answer) << row.id;
  }
}

TEST(DeflateParams, Rfc7692_7_1_2_WindowBitsAre8To15WithoutLeadingZeros) {
  for (const std::string name : {"server_max_window_bits", "client_max_window_bits"}) {
    for (const std::string value :
         {"0",          "1",    "7",      "16",      "08",     "09",  "010", "00015",
          "15x",        "x15",  "-9",     "+9",      "9.0",    "1e1", "100", "18446744073709551625",
          "4294967305", "\"\"", "\"16\"", "\"015\"", "\"1 5\""}) {
      EXPECT_EQ(answered({pmd + "; " + name + "=" + value}), "") << name << '=' << value;
    }
    for (int bits = 9; bits <= 15; ++bits) {
      const std::string parameter = "; " + name + "=" + std::to_string(bits);
      EXPECT_EQ(answered({pmd + parameter}, both), pmd + parameter);
    }
  }
}

TEST(DeflateParams, Rfc7692_7_1_AServerAgreesWithinItsOptions) {
  EXPECT_EQ(agreed(pmd), DeflateAgreement{});
  EXPECT_EQ(agreed(pmd, both), (DeflateAgreement{15, 15, true, true}));
  EXPECT_EQ(agreed(pmd + "; server_max_window_bits=11; client_max_window_bits=8", both),
            (DeflateAgreement{11, 8, true, true}));
  EXPECT_EQ(agreed(pmd + no_takeover, both), (DeflateAgreement{15, 15, false, false}));
  // The offer does not allow a limit, so the client may use any window.
  EXPECT_EQ(agreed(pmd, {.peer_window_bits = 9, .peer_takeover = true}),
            (DeflateAgreement{15, 15, false, false}));
}

TEST(DeflateParams, OffersAndParametersBeyondTheBoundsAreIgnored) {
  std::string offers;
  for (std::size_t i = 1; i < max_offers; ++i) offers += "foo, ";
  EXPECT_EQ(answered({offers + pmd}, both), pmd);
  EXPECT_EQ(answered({"foo, " + offers + pmd}, both), "");
  // An offer of so many parameters is invalid anyway, so the bound only saves time.
  std::string parameters;
  for (int i = 0; i < 100'000; ++i) parameters += "; client_max_window_bits";
  EXPECT_EQ(answered({pmd + parameters}, both), "");
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += pmd + "; mux, ";
  EXPECT_EQ(answered({many + pmd}, both), "");
}

// ---- client

TEST(DeflateParams, Rfc7692_7_1_AClientOffersItsOptions) {
  EXPECT_EQ(offer_text({}), pmd +
                                "; client_max_window_bits; client_no_context_takeover; "
                                "server_no_context_takeover");
  EXPECT_EQ(offer_text(both), pmd + "; client_max_window_bits");
  EXPECT_EQ(offer_text({.window_bits = 10, .takeover = true, .peer_takeover = true}),
            pmd + "; client_max_window_bits=10");
  // A server that cannot limit its window may still compress, without takeover.
  EXPECT_EQ(offer_text({.peer_window_bits = 12, .takeover = true, .peer_takeover = true}),
            pmd + "; client_max_window_bits; server_max_window_bits=12, " + pmd +
                "; client_max_window_bits; server_no_context_takeover");
}

struct Answer {
  std::optional<Errc> fault{};
  std::optional<DeflateAgreement> agreed{};
  bool operator==(const Answer&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  if (answer.fault) out << make_error_code(*answer.fault).message();
  if (!answer.agreed) return out << " no agreement";
  const DeflateAgreement& agreement = *answer.agreed;
  return out << int{agreement.window_bits} << ' ' << int{agreement.peer_window_bits} << ' '
             << agreement.takeover << ' ' << agreement.peer_takeover;
}

Answer checked(const std::vector<std::string>& lines, const std::optional<Deflate>& options) {
  Answer answer{.agreed = DeflateAgreement{.window_bits = 1}};
  answer.fault = check_answer(Fields(lines).get(), options ? &*options : nullptr, answer.agreed);
  return answer;
}

constexpr Errc invalid = Errc::extension_answer_invalid;
constexpr Errc not_offered = Errc::extension_not_offered;
const std::string server_none = "; server_no_context_takeover";
struct AnswerRow {
  const char* id;
  std::vector<std::string> answer;
  Answer expected;
  Deflate options{};
};
const Deflate limits{.peer_window_bits = 12, .takeover = true, .peer_takeover = true};
const Deflate ours10{.window_bits = 10, .takeover = true, .peer_takeover = true};
const std::vector<AnswerRow> answer_table = {
    {"declined", {}, {}},
    {"as offered", {pmd + no_takeover}, {{}, {{15, 15, false, false}}}},
    {"takeover", {pmd}, {{}, {{15, 15, true, true}}}, both},
    {"our takeover is forbidden",
     {pmd + "; client_no_context_takeover"},
     {{}, {{15, 15, false, true}}},
     both},
    {"no takeover of the server", {pmd + server_none}, {{}, {{15, 15, true, false}}}, both},
    {"the answer does not repeat our own flag",
     {pmd + server_none},
     {{}, {{15, 15, false, false}}}},
    {"our request for no takeover is ignored", {pmd}, {invalid, {}}},
    {"a smaller window of the server, not requested",
     {pmd + "; server_max_window_bits=9"},
     {{}, {{15, 9, true, true}}},
     both},
    {"a window of 8 of the server",
     {pmd + "; server_max_window_bits=8"},
     {{}, {{15, 8, true, true}}},
     both},
    {"the server's window as requested",
     {pmd + "; server_max_window_bits=12"},
     {{}, {{15, 12, true, true}}},
     limits},
    {"smaller than requested",
     {pmd + "; server_max_window_bits=\"10\""},
     {{}, {{15, 10, true, true}}},
     limits},
    {"larger than requested", {pmd + "; server_max_window_bits=13"}, {invalid, {}}, limits},
    {"no window although requested", {pmd}, {invalid, {}}, limits},
    {"the second offer", {pmd + server_none}, {{}, {{15, 15, true, false}}}, limits},
    {"the second offer, with a window",
     {pmd + server_none + "; server_max_window_bits=14"},
     {{}, {{15, 14, true, false}}},
     limits},
    {"our window is limited",
     {pmd + "; client_max_window_bits=9"},
     {{}, {{9, 15, true, true}}},
     both},
    {"our window, quoted",
     {pmd + "; client_max_window_bits=\"15\""},
     {{}, {{15, 15, true, true}}},
     both},
    {"zlib cannot do 8: we do not compress",
     {pmd + "; client_max_window_bits=8"},
     {{}, {{0, 15, false, true}}},
     both},
    {"within our hint",
     {pmd + "; client_max_window_bits=10"},
     {{}, {{10, 15, true, true}}},
     ours10},
    {"no word about our hint", {pmd}, {{}, {{10, 15, true, true}}}, ours10},
    {"beyond our hint", {pmd + "; client_max_window_bits=11"}, {invalid, {}}, ours10},
    {"without a value", {pmd + "; client_max_window_bits"}, {invalid, {}}, both},
    {"16", {pmd + "; client_max_window_bits=16"}, {invalid, {}}, both},
    {"7", {pmd + "; server_max_window_bits=7"}, {invalid, {}}, both},
    {"leading zero", {pmd + "; server_max_window_bits=09"}, {invalid, {}}, both},
    {"no value", {pmd + "; server_max_window_bits"}, {invalid, {}}, both},
    {"flag with a value", {pmd + "; server_no_context_takeover=1"}, {invalid, {}}, both},
    {"twice", {pmd + server_none + server_none}, {invalid, {}}, both},
    {"unknown parameter", {pmd + "; mux"}, {invalid, {}}, both},
    {"malformed", {pmd + ";"}, {invalid, {}}, both},
    {"unclosed quote", {pmd + "; server_max_window_bits=\"9"}, {invalid, {}}, both},
    {"two answers", {pmd + ", " + pmd}, {invalid, {}}, both},
    {"two lines", {pmd, pmd}, {invalid, {}}, both},
    {"one more", {pmd + ", foo"}, {invalid, {}}, both},
    {"malformed behind", {pmd + ", \""}, {invalid, {}}, both},
    {"another", {"foo"}, {not_offered, {}}, both},
    {"another first", {"foo, " + pmd}, {not_offered, {}}, both},
    {"empty", {""}, {invalid, {}}, both},
    {"an empty list", {", ,"}, {invalid, {}}, both},
};

TEST(DeflateParams, Rfc7692_7_1_AClientChecksTheAnswer) {
  for (const AnswerRow& row : answer_table) {
    EXPECT_EQ(checked(row.answer, row.options), row.expected) << row.id;
  }
}

TEST(DeflateParams, Rfc6455_4_1_WithoutAnOfferAnyAnswerFails) {
  EXPECT_EQ(checked({}, {}), Answer{});
  EXPECT_EQ(checked({pmd}, {}), (Answer{Errc::extension_not_offered, {}}));
  EXPECT_EQ(checked({""}, {}), (Answer{Errc::extension_not_offered, {}}));
}

// The client accepts each answer of our server to each of our offers, and both agree on the same
// values.
TEST(DeflateParams, ClientAndServerReachTheSameAgreement) {
  std::size_t agreements = 0;
  for (int window = 8; window <= 15; ++window) {
    for (int peer_window = 8; peer_window <= 15; ++peer_window) {
      for (int flags = 0; flags < 16; ++flags) {
        const Deflate client = *usable(Deflate{.window_bits = window,
                                               .peer_window_bits = peer_window,
                                               .takeover = (flags & 1) != 0,
                                               .peer_takeover = (flags & 2) != 0});
        const Deflate server = *usable(Deflate{.window_bits = 23 - window,
                                               .peer_window_bits = peer_window,
                                               .takeover = (flags & 4) != 0,
                                               .peer_takeover = (flags & 8) != 0});
        const auto accepted = accept_offer(Fields({offer_text(client)}).get(), server);
        ASSERT_TRUE(accepted) << offer_text(client);
        const Answer answer = checked({answer_text(*accepted)}, client);
        ASSERT_TRUE(answer.agreed) << answer << " to " << answer_text(*accepted);
        EXPECT_EQ(answer.agreed->window_bits, accepted->agreed.peer_window_bits);
        EXPECT_EQ(answer.agreed->peer_window_bits, accepted->agreed.window_bits);
        EXPECT_EQ(answer.agreed->takeover, accepted->agreed.peer_takeover);
        EXPECT_EQ(answer.agreed->peer_takeover, accepted->agreed.takeover);
        ++agreements;
      }
    }
  }
  EXPECT_EQ(agreements, 8u * 8u * 16u);
}

}  // namespace
}  // namespace tern::deflate
