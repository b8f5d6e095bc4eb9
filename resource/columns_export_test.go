package resource

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ColumnsOf, CellsOf and ConditionsOf show tests the Table form of a type, with ages as they read at a moment.

func ColumnsOf(t *Type) []Column { return columnsFor(t).Definitions }

func CellsOf(t *Type, o Object, now time.Time) []any {
	cells := columnsFor(t).Cells(o)
	for i, c := range cells {
		if a, ok := c.(age); ok {
			cells[i] = a.text(now)
		}
	}
	return cells
}

func ConditionsOf(t *Type, o Object) []metav1.TableRowCondition {
	if c := columnsFor(t).Conditions; c != nil {
		return c(o)
	}
	return nil
}
