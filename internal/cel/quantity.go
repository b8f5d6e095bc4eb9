package cel

import (
	"errors"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/api/resource"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// boundedQuantities are the two functions of the Kubernetes library that parse quantities, for texts that may be a client's: what the
// library takes minutes to parse is no quantity here. The cost of the functions counts the bytes of the text only.
func boundedQuantities() []cel.EnvOption {
	text := []*cel.Type{cel.StringType}
	return []cel.EnvOption{
		cel.Function("quantity", cel.Overload("string_to_quantity", text, apiservercel.QuantityType, cel.UnaryBinding(toQuantity))),
		cel.Function("isQuantity", cel.Overload("is_quantity_string", text, cel.BoolType, cel.UnaryBinding(isQuantity))),
	}
}

func toQuantity(arg ref.Val) ref.Val {
	text, ok := arg.Value().(string)
	if !ok {
		return types.MaybeNoSuchOverloadErr(arg)
	}
	q, err := parseQuantity(text)
	if err != nil {
		return types.WrapErr(err)
	}
	return apiservercel.Quantity{Quantity: &q}
}

func isQuantity(arg ref.Val) ref.Val {
	text, ok := arg.Value().(string)
	if !ok {
		return types.MaybeNoSuchOverloadErr(arg)
	}
	_, err := parseQuantity(text)
	return types.Bool(err == nil)
}

// Bounds of the text of a quantity; they are those of package quantity, for what is decoded.
const (
	maxQuantityBytes    = 256
	maxQuantityExponent = 1000
)

var errQuantityBounds = errors.New("a quantity has at most 256 characters and an exponent from -1000 to 1000")

func parseQuantity(text string) (resource.Quantity, error) {
	if len(text) > maxQuantityBytes {
		return resource.Quantity{}, errQuantityBounds
	}
	if i := strings.LastIndexAny(text, "eE"); i >= 0 && i < len(text)-1 {
		n, err := strconv.Atoi(text[i+1:])
		if errors.Is(err, strconv.ErrRange) || n > maxQuantityExponent || n < -maxQuantityExponent {
			return resource.Quantity{}, errQuantityBounds
		}
	}
	return resource.ParseQuantity(text)
}
