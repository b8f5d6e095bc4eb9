package resource

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ColumnsOf are the columns of a type.
func ColumnsOf(t *Type) []Column { return columnsFor(t).Definitions }

// CellsOf are the cells of an object, with ages as they read at a moment.
func CellsOf(t *Type, o Object, now time.Time) []any {
	cells := columnsFor(t).Cells(o)
	for i, c := range cells {
		if a, ok := c.(age); ok {
			cells[i] = a.text(now)
		}
	}
	return cells
}

// ConditionsOf is what the row of an object is marked with.
func ConditionsOf(t *Type, o Object) []metav1.TableRowCondition {
	if c := columnsFor(t).Conditions; c != nil {
		return c(o)
	}
	return nil
}

// CellsFunc is the function that the cells of one type are made with.
func CellsFunc(t *Type) func(Object) []any { return columnsFor(t).Cells }
