// Bindings of what is told of text.
#include "native.hpp"
#include "text.hpp"

namespace gpuvgm {
namespace {

size_t length_of_whole_rows(Bytes text, char delimiter) {
    nb::gil_scoped_release unlocked;
    return length_of_rows((const char*)text.data(), text.shape(0), delimiter);
}

// Sums of each text's bytes plus one, each with the factor of its place, and of the bytes that have one: modulo 2^64.
auto text_sums(Column<int64_t> offsets, Bytes texts, Words factors) {
    const size_t count = offsets.shape(0);
    if (!count) {
        throw std::invalid_argument("offsets need a first place");
    }
    std::vector<uint64_t> sums(count - 1);
    {
        nb::gil_scoped_release unlocked;
        const int64_t* ends = offsets.data();
        const auto size = (int64_t)texts.shape(0), most = (int64_t)factors.shape(0);
        for (size_t i = 0; i + 1 < count; ++i) {
            const int64_t begin = ends[i], end = ends[i + 1];
            if (begin < 0 || end < begin || end > size) {
                throw std::invalid_argument("offsets must ascend within the texts");
            }
            const int64_t length = std::min(end - begin, most);
            uint64_t sum = (uint64_t)length;
            for (int64_t place = 0; place < length; ++place) {
                sum += (uint64_t(texts.data()[begin + place]) + 1) * factors.data()[place];
            }
            sums[i] = sum;
        }
    }
    return owned(std::move(sums), {count - 1});
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
    module.def("text_sums", &text_sums, "offsets"_a, "texts"_a, "factors"_a,
               "Sums of the bytes of texts; see gpuvgm.columns.passthrough.hashes_of_text.");
    module.def("are_plain", &are_plain, "offsets"_a, "texts"_a, "most"_a, "form"_a.none(),
               "Whether all texts are plainly of a form; see gpuvgm.io.text_blocks.");
    module.def("plain_columns", &columns_are_plain, "text"_a, "delimiter"_a, "asked"_a,
               "Which columns of rows of CSV are plainly of their forms; see gpuvgm.io.text_blocks.");
}

}  // namespace gpuvgm
