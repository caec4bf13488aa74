// IntrusiveList: elements join, leave and move between lists, and may outlive them.
#include "base/intrusive_list.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace {

struct FirstTag;
struct SecondTag;

struct Item : tern::base::ListHook<FirstTag>, tern::base::ListHook<SecondTag> {
  explicit Item(char c) : name(c) {}
  char name;
};

using First = tern::base::IntrusiveList<Item, FirstTag>;
using Second = tern::base::IntrusiveList<Item, SecondTag>;

template <class List>
std::string drain(List& list) {
  std::string names;
  while (!list.empty()) names += list.pop_front().name;
  return names;
}

bool on_first(const Item& item) {
  return static_cast<const tern::base::ListHook<FirstTag>&>(item).linked();
}

TEST(IntrusiveList, KeepsTheOrder) {
  First list;
  EXPECT_TRUE(list.empty());
  Item a('a'), b('b'), c('c');
  list.push_back(a);
  list.push_back(b);
  list.push_back(c);
  EXPECT_FALSE(list.empty());
  EXPECT_EQ(list.front().name, 'a');
  EXPECT_EQ(drain(list), "abc");
  EXPECT_TRUE(list.empty());
  EXPECT_FALSE(on_first(a));
}

TEST(IntrusiveList, AnElementCanLeaveFromAnyPlace) {
  for (std::size_t leaves = 0; leaves < 3; ++leaves) {
    First list;
    Item a('a'), b('b'), c('c');
    Item* const items[] = {&a, &b, &c};
    for (Item* item : items) list.push_back(*item);
    static_cast<tern::base::ListHook<FirstTag>*>(items[leaves])->unlink();
    EXPECT_FALSE(on_first(*items[leaves]));
    std::string expected = "abc";
    expected.erase(leaves, 1);
    EXPECT_EQ(drain(list), expected);
  }
}

TEST(IntrusiveList, ADestroyedElementLeavesTheList) {
  First list;
  Item a('a');
  list.push_back(a);
  {
    Item b('b');
    list.push_back(b);
  }
  Item c('c');
  list.push_back(c);
  EXPECT_EQ(drain(list), "ac");
}

TEST(IntrusiveList, ElementsOutliveTheList) {
  Item a('a');
  {
    First list;
    list.push_back(a);
    EXPECT_TRUE(on_first(a));
  }
  EXPECT_FALSE(on_first(a));
}

TEST(IntrusiveList, TwoTagsAreTwoLists) {
  First first;
  Second second;
  Item a('a'), b('b');
  first.push_back(a);
  first.push_back(b);
  second.push_back(b);
  second.push_back(a);
  EXPECT_EQ(drain(first), "ab");
  EXPECT_EQ(drain(second), "ba");
}

TEST(IntrusiveList, TakeMovesAllElementsOfAnotherList) {
  First from, to;
  Item a('a'), b('b'), c('c');
  to.push_back(a);
  from.push_back(b);
  from.push_back(c);
  to.take(from);
  EXPECT_TRUE(from.empty());
  EXPECT_EQ(drain(to), "abc");
  to.take(from);
  EXPECT_TRUE(to.empty());
}

TEST(IntrusiveList, UnlinkingTwiceDoesNothing) {
  First list;
  Item a('a'), b('b');
  list.push_back(a);
  list.push_back(b);
  static_cast<tern::base::ListHook<FirstTag>&>(a).unlink();
  static_cast<tern::base::ListHook<FirstTag>&>(a).unlink();
  EXPECT_EQ(drain(list), "b");
}

}  // namespace
