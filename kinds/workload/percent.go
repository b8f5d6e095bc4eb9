package workload

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// checkCount asks for a number of 0 or more, or a percentage, at a path below the caller's. nil is passed over.
func checkCount(c *rules.Checker, v *intstr.IntOrString, name string, more ...string) {
	switch {
	case v == nil:
	case v.Type == intstr.String:
		for _, m := range utilvalidation.IsValidPercent(v.StrVal) {
			c.Add(field.Invalid(c.At(name, more...), *v, m))
		}
	case v.IntVal < 0:
		c.Add(field.Invalid(c.At(name, more...), int64(v.IntVal), "must be greater than or equal to 0"))
	}
}

// checkNotMoreThanAll bounds a percentage to 100. Numbers and what is not a percentage are passed over.
func checkNotMoreThanAll(c *rules.Checker, v *intstr.IntOrString, name string, more ...string) {
	if v != nil && v.Type == intstr.String && len(utilvalidation.IsValidPercent(v.StrVal)) == 0 && countOf(v) > 100 {
		c.Add(field.Invalid(c.At(name, more...), *v, "must not be greater than 100%"))
	}
}

// countOf is the number or the percentage that v says. What is neither counts as far as it can be read as a number, as it always did.
func countOf(v *intstr.IntOrString) int {
	if v == nil {
		return 0
	}
	if digits, ok := strings.CutSuffix(v.StrVal, "%"); ok && v.Type == intstr.String && len(utilvalidation.IsValidPercent(v.StrVal)) == 0 {
		n, _ := strconv.Atoi(digits)
		return n
	}
	return v.IntValue()
}
