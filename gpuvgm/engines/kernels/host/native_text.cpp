// Bindings of what is told of text.
#include "native.hpp"
#include "text.hpp"

namespace gpuvgm {
namespace {

size_t length_of_whole_rows(Bytes text, char delimiter) {
    nb::gil_scoped_release unlocked;
    return length_of_rows((const char*)text.data(), text.shape(0), delimiter);
}

bool are_plain(Column<int32_t> offsets, Bytes texts, int64_t most, std::optional<char> form) {
    const int32_t* ends = offsets.data();
    const size_t count = offsets.shape(0);
    for (size_t i = 0; i < count; ++i) {
        if (ends[i] < (i ? ends[i - 1] : 0) || (size_t)ends[i] > texts.shape(0)) {
            throw std::invalid_argument("offsets must ascend within the texts");
        }
    }
    nb::gil_scoped_release unlocked;
    const auto* text = (const char*)texts.data();
    for (size_t i = 1; i < count; ++i) {
        if (!is_plain(text + ends[i - 1], text + ends[i], {most, form.value_or('\0')})) {
            return false;
        }
    }
    return true;
}

using Rule = std::tuple<int64_t, std::optional<char>>;

std::vector<bool> columns_are_plain(Bytes text, char delimiter, const std::vector<Rule>& asked) {
    std::vector<FieldRule> rules;
    for (const auto& [most, form] : asked) {
        rules.push_back({most, form.value_or('\0')});
    }
    nb::gil_scoped_release unlocked;
    const auto plain = plain_columns((const char*)text.data(), text.shape(0), delimiter, rules);
    return {plain.begin(), plain.end()};
}

}  // namespace

void bind_text(nb::module_& module) {
    using namespace nb::literals;
    module.def("length_of_rows", &length_of_whole_rows, "text"_a, "delimiter"_a,
               "Length of the whole rows that text begins with.");
    module.def("are_plain", &are_plain, "offsets"_a, "texts"_a, "most"_a, "form"_a.none(),
               "Whether all texts are plainly of a form; see gpuvgm.io.text_blocks.");
    module.def("plain_columns", &columns_are_plain, "text"_a, "delimiter"_a, "asked"_a,
               "Which columns of rows of CSV are plainly of their forms; see gpuvgm.io.text_blocks.");
}

}  // namespace gpuvgm
