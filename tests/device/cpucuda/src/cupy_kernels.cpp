// The few kernels that CuPy generates for itself and that tests reach: fill, copy, equal, not_equal.
#include "cpucuda.h"

#include <cstring>

namespace cpucuda {
namespace {

struct Strided {                          // as CuPy's CArray: then the shape, then strides in bytes
    char *data;
    long size;
    long rest[];
};

char *at(const Strided *array, int ndim, long index) {
    char *place = array->data;
    for (int axis = ndim - 1; axis >= 0; axis--) {
        place += index % array->rest[axis] * array->rest[ndim + axis];
        index /= array->rest[axis];
    }
    return place;
}

size_t size_of(char type) {               // of a type as NumPy codes it
    return strchr("?bB", type) ? 1 : strchr("hHe", type) ? 2 : strchr("iIf", type) ? 4 : 8;
}

bool equal(char type, const void *one, const void *other) {
    if (type == 'f') return *(float *)one == *(float *)other;
    if (type == 'd') return *(double *)one == *(double *)other;
    return !memcmp(one, other, size_of(type));
}

} // namespace

Status run_cupy_kernel(const std::string &kind, int ndim, const std::string &operands, void **arguments,
                       std::string &message) {
    const size_t last = operands.size() / 2 - 1;      // the result
    const auto *out = (const Strided *)arguments[last];
    const auto input = [&](size_t operand, long index) -> const void * {
        if (operands[2 * operand + 1] == 'v') return arguments[operand];
        return at((const Strided *)arguments[operand], ndim, index);
    };
    const size_t item = size_of(operands[2 * last]);
    for (long k = 0; k < out->size; k++) {
        char *place = at(out, ndim, k);
        if (!within(device_block(place), place, item)) {
            message = "writes beyond device memory";
            return 700;
        }
        if (kind == "copy")
            memcpy(place, input(0, k), item);
        else
            *place = equal(operands[0], input(0, k), input(1, k)) == (kind == "equal");
    }
    return 0;
}

} // namespace cpucuda
