package server

import (
	"encoding/json"
	"fmt"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/gatehouse/gatehouse/resource"
)

// transformScale turns a Scale into what the client asked for. It is computed and not stored, so that its row is no part of the cache.
func (c *call) transformScale(s *autoscalingv1.Scale) (runtime.Object, error) {
	s.SetGroupVersionKind(autoscalingv1.SchemeGroupVersion.WithKind("Scale"))
	partial := &metav1.PartialObjectMetadata{ObjectMeta: s.ObjectMeta}
	version := schema.GroupVersion{Group: "meta.k8s.io", Version: string(c.format.table.Version)}
	partial.SetGroupVersionKind(version.WithKind(asPartial))
	switch c.format.as {
	case asTable:
		t, err := scaleTable(s, partial, c.format.table.Include, c.service.Now())
		if err != nil {
			return nil, err
		}
		t.SetGroupVersionKind(version.WithKind(asTable))
		return t, nil
	case asPartial:
		return partial, nil
	case asPartialList:
		return nil, notOfShape("you requested PartialObjectMetadataList, but the requested object is not a list")
	}
	return s, nil
}

func scaleTable(s *autoscalingv1.Scale, partial *metav1.PartialObjectMetadata, include resource.IncludeObject, now time.Time) (*metav1.Table, error) {
	meta := metav1.ObjectMeta{}.SwaggerDoc()
	age := "<unknown>"
	if !s.CreationTimestamp.IsZero() {
		age = duration.HumanDuration(now.Sub(s.CreationTimestamp.Time))
	}
	row := metav1.TableRow{Cells: []any{s.Name, s.Spec.Replicas, s.Status.Replicas, age}}
	var o any
	switch include {
	case resource.IncludeNone:
	case resource.IncludeWhole:
		o = s
	default:
		o = partial
	}
	if o != nil {
		raw, err := json.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("encode the object of a row: %w", err)
		}
		row.Object.Raw = raw
	}
	t := &metav1.Table{
		ListMeta: metav1.ListMeta{ResourceVersion: s.ResourceVersion},
		ColumnDefinitions: []metav1.TableColumnDefinition{
			{Name: "Name", Type: "string", Description: meta["name"]},
			{Name: "Desired", Type: "integer", Description: autoscalingv1.ScaleSpec{}.SwaggerDoc()["replicas"]},
			{Name: "Available", Type: "integer", Description: autoscalingv1.ScaleStatus{}.SwaggerDoc()["replicas"]},
			{Name: "Age", Type: "string", Description: meta["creationTimestamp"]},
		},
		Rows: []metav1.TableRow{row},
	}
	return t, nil
}
