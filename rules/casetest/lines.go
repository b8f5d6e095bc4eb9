package casetest

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// lines are causes as clients read them, and after them the warnings; where there are causes, clients are not warned.
func lines(errs field.ErrorList, warnings []string) string {
	var b strings.Builder
	for _, e := range errs {
		b.WriteString(e.Field + ": " + string(e.Type) + ": " + e.ErrorBody() + "\n")
	}
	for _, text := range warnings {
		if len(errs) == 0 {
			b.WriteString("warning: " + text + "\n")
		}
	}
	return strings.TrimSpace(b.String())
}
