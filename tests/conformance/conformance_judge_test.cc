// Tests of the suite itself: every number exists, and a wrong subject gets the right verdict. For
// each verdict, a simulated subject makes the fault that leads to it.
#include "conformance/cases.h"
#include "conformance/judge.h"

#include <gtest/gtest.h>
#include <map>
#include <set>

namespace tern::conformance {
namespace {

using test::closing;
using test::pong;
using test::text;
using test::wire;

TEST(ConformanceCases, EveryNumberExistsOnce) {
  // The number of cases in each subgroup of Autobahn.
  const std::map<std::string, std::vector<int>> counts = {
      {"1", {8, 8}},
      {"3", {}},
      {"4", {5, 5}},
      {"6", {3, 4, 2, 4, 5, 11, 4, 2, 4, 3, 5, 8, 5, 10, 1, 3, 5, 5, 5, 7, 8, 34, 7}},
      {"7", {6, 0, 6, 0, 1, 0, 13, 0, 9, 0, 0, 0, 2}},
      {"9", {6, 6, 9, 9, 6, 6, 6, 6}},
      {"10", {1}},
      {"12", std::vector<int>(5, 18)},
      {"13", std::vector<int>(7, 18)},
  };
  std::set<std::string> expected;
  for (const auto& [group, sizes] : counts) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      for (int number = 1; number <= sizes[i]; ++number) {
        expected.insert(group + '.' + std::to_string(i + 1) + '.' + std::to_string(number));
      }
    }
  }
  for (const auto& [group, size] : std::map<std::string, int>{{"2", 11}, {"3", 7}, {"5", 20}}) {
    for (int number = 1; number <= size; ++number) {
      expected.insert(group + '.' + std::to_string(number));
    }
  }
  std::set<std::string> found;
  for (const Case& each : all_cases()) EXPECT_TRUE(found.insert(each.id).second) << each.id;
  EXPECT_EQ(found, expected);
  EXPECT_EQ(found.size(), 517u);
}

TEST(ConformanceCases, Rfc6455_5_4_FragmentsThatFitExactlyEndWithAnEmptyOne) {
  const auto shown = [](std::size_t size, std::size_t piece) {
    std::string all;
    for (const Frame& frame : fragments(text(std::string(size, 'x')), piece)) {
      all += to_string(frame) + '|';
    }
    return all;
  };
  EXPECT_EQ(shown(2, 2), "text xx|");
  EXPECT_EQ(shown(3, 2), "text- xx|continuation x|");
  EXPECT_EQ(shown(4, 2), "text- xx|continuation- xx|continuation|");
}

// A simulated subject: the bytes that each read returns, in order. After that it is silent.
class PaperLink : public Link {
 public:
  PaperLink(Role subject, std::vector<Read> reads) : subject_(subject), reads_(std::move(reads)) {}

  Role subject() const override { return subject_; }
  bool write(std::string_view bytes) override {
    written.emplace_back(bytes);
    return true;
  }
  Read read(std::chrono::milliseconds) override {
    if (next_ == reads_.size()) return {};
    return reads_[next_++];
  }
  void finish() override { finished = true; }

  std::vector<std::string> written{};
  bool finished = false;

 private:
  Role subject_;
  std::vector<Read> reads_;
  std::size_t next_ = 0;
};

Read sent_by(Role subject, const std::vector<Frame>& frames) {
  return {Read::State::bytes, wire(subject, frames)};
}
const Read fin{Read::State::fin};
const Read reset{Read::State::reset};
const Read nothing{};

struct Row {
  const char* name;
  Script script;
  std::vector<Read> reads;
  const char* verdicts;
};

void expect_verdicts(Role subject, const std::vector<Row>& table) {
  for (const Row& row : table) {
    SCOPED_TRACE(row.name);
    PaperLink link(subject, row.reads);
    const Observed observed = run(row.script, link);
    const Judgement judgement = judge({}, row.script, observed, subject);
    EXPECT_EQ(to_string(judgement.verdict) + ' ' + to_string(judgement.close), row.verdicts)
        << observed.fault;
    EXPECT_TRUE(link.finished);
    // The scripts of this table are valid, so the output of the tester must be valid, too.
    test::FrameReader reader(subject == Role::server ? Role::client : Role::server);
    for (const std::string& bytes : link.written) reader.feed(bytes);
    EXPECT_TRUE(reader.fault().empty() || row.script.ending.codes == std::vector<int>{1007})
        << reader.fault();
  }
}

const Frame hello = text("Hello");

TEST(ConformanceJudge, Rfc6455_7_JudgesEveryKindOfServer) {
  const auto by = [](const std::vector<Frame>& frames) { return sent_by(Role::server, frames); };
  const Read echoed = by({hello});
  Script fatal = echo(hello);
  fatal.ending.code_fatal = true;
  expect_verdicts(
      Role::server,
      {
          {"as expected", echo(hello), {echoed, by({closing(1000)}), fin}, "OK OK"},
          {"no code", echo(hello), {echoed, by({closing()}), fin}, "OK OK"},
          {"another echo",
           echo(hello),
           {by({text("hello")}), by({closing(1000)}), fin},
           "FAILED OK"},
          {"of another type",
           echo(hello),
           {by({test::binary("Hello")}), by({closing(1000)}), fin},
           "FAILED OK"},
          {"two echoes", echo(hello), {echoed, echoed, by({closing(1000)}), fin}, "FAILED OK"},
          {"an unsolicited pong",
           echo(hello),
           {echoed, by({pong()}), by({closing(1000)}), fin},
           "FAILED OK"},
          {"its pings do not count",
           echo(hello),
           {echoed, by({test::ping()}), by({closing(1000)}), fin},
           "OK OK"},
          {"in fragments",
           echo(hello),
           {by({text("He", false), test::more("llo")}), by({closing(1000)}), fin},
           "OK OK"},
          {"no echo", echo(hello), {nothing}, "FAILED UNCLEAN"},
          {"closes before us", echo(hello), {by({hello, closing(1000)}), fin}, "OK FAILED"},
          {"fails valid input", echo(hello), {by({closing(1002)}), fin}, "FAILED FAILED"},
          {"no answer to the Close", echo(hello), {echoed, nothing}, "OK UNCLEAN"},
          {"TCP ends in place of it", echo(hello), {echoed, fin}, "OK UNCLEAN"},
          {"reset behind it", echo(hello), {echoed, by({closing(1000)}), reset}, "OK UNCLEAN"},
          {"leaves TCP to us", echo(hello), {echoed, by({closing(1000)}), nothing}, "OK UNCLEAN"},
          {"wrong code", echo(hello), {echoed, by({closing(1001)}), fin}, "OK WRONG-CODE"},
          {"wrong code, fatal", fatal, {echoed, by({closing(1001)}), fin}, "FAILED WRONG-CODE"},
          {"masked", echo(hello), {sent_by(Role::client, {hello})}, "FAILED UNCLEAN"},
      });
}

TEST(ConformanceJudge, Rfc6455_7_JudgesServersThatMustFail) {
  const auto by = [](const std::vector<Frame>& frames) { return sent_by(Role::server, frames); };
  Script forgiven = failure({hello}, 1002);
  forgiven.expected = {"text Hello"};
  forgiven.non_strict = Events{};
  Script side = failure({hello}, 1007);
  side.ending.side_fatal = true;
  expect_verdicts(
      Role::server,
      {
          {"cut by FIN", failure({hello}, 1002), {{Read::State::bytes, "\x81"}, fin}, "FAILED OK"},
          {"fails", failure({hello}, 1002), {by({closing(1002)}), fin}, "OK OK"},
          {"drops", failure({hello}, 1002), {reset}, "OK OK"},
          {"fails with another code",
           failure({hello}, 1002),
           {by({closing(1007)}), fin},
           "OK WRONG-CODE"},
          {"fails but keeps TCP",
           failure({hello}, 1002),
           {by({closing(1002)}), nothing},
           "OK FAILED-BY-CLIENT"},
          {"answers and fails",
           failure({hello}, 1002),
           {by({hello, closing(1002)}), fin},
           "FAILED OK"},
          {"ignores", failure({hello}, 1002), {nothing}, "OK FAILED"},
          {"ignores what is fatal", side, {nothing}, "FAILED FAILED"},
          {"strict", forgiven, {by({hello, closing(1002)}), fin}, "OK OK"},
          {"not strict", forgiven, {by({closing(1002)}), fin}, "NON-STRICT OK"},
      });
}

TEST(ConformanceJudge, Rfc6455_7_1_1_AClientWaitsForTheEndOfTcp) {
  const auto by = [](const std::vector<Frame>& frames) { return sent_by(Role::client, frames); };
  expect_verdicts(
      Role::client,
      {
          {"as expected", echo(hello), {by({hello}), by({closing(1000)}), nothing, fin}, "OK OK"},
          {"ends TCP before us",
           echo(hello),
           {by({hello}), by({closing(1000)}), fin},
           "OK UNCLEAN"},
          {"resets", echo(hello), {by({hello}), by({closing(1000)}), nothing, reset}, "OK UNCLEAN"},
          {"never ends TCP",
           echo(hello),
           {by({hello}), by({closing(1000)}), nothing, nothing},
           "OK UNCLEAN"},
          {"fails", failure({hello}, 1002), {by({closing(1002)}), fin}, "OK OK"},
          {"not masked", echo(hello), {sent_by(Role::server, {hello})}, "FAILED UNCLEAN"},
      });
}

TEST(ConformanceJudge, Rfc6455_8_1_RecognizesFailingFast) {
  const auto by = [](const std::vector<Frame>& frames) { return sent_by(Role::server, frames); };
  const Script script = [] {
    for (const Case& each : all_cases()) {
      if (each.id == "6.4.3") return each.script();
    }
    return Script{};
  }();
  const Read failed = by({closing(1007)});
  expect_verdicts(Role::server,
                  {
                      {"in time", script, {nothing, failed, fin}, "OK OK"},
                      {"before the fault", script, {failed, fin}, "FAILED OK"},
                      {"at the end", script, {nothing, nothing, failed, fin}, "NON-STRICT OK"},
                      {"never", script, {nothing, nothing, nothing}, "FAILED FAILED"},
                  });
}

TEST(ConformanceTester, Rfc6455_5_3_EachFrameHasItsOwnKey) {
  PaperLink link(Role::server, {fin});
  std::vector<Frame> frames(100, hello);
  run({.steps = {send(std::move(frames), frame_wise)}}, link);
  std::set<std::string> keys;
  for (const std::string& bytes : link.written) keys.insert(bytes.substr(2, 4));
  EXPECT_EQ(link.written.size(), 101u) << "the last frame is the Close frame";
  EXPECT_GT(keys.size(), 95u);
}

TEST(ConformanceTester, CutsWritesByTheScript) {
  const auto sizes = [](Writing writing) {
    PaperLink link(Role::client, {nothing});
    run({.steps = {send({text("a"), text("bb")}, writing)}, .ending = fails_with(1002)}, link);
    std::string all;
    for (const std::string& bytes : link.written) all += std::to_string(bytes.size()) + ' ';
    return all;
  };
  EXPECT_EQ(sizes(at_once), "7 ");
  EXPECT_EQ(sizes(frame_wise), "3 4 ");
  EXPECT_EQ(sizes(byte_wise), "1 1 1 1 1 1 1 ");
  EXPECT_EQ(sizes(chops_of(5)), "5 2 ");
}

}  // namespace
}  // namespace tern::conformance
