package resource

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/gatehouse/gatehouse/kinds/workload"
)

// eventToCore stores events of the group events.k8s.io as core events; both groups show the same objects.
func eventToCore(o Object) (Object, error) {
	e := o.(*eventsv1.Event)
	out := &corev1.Event{
		ObjectMeta: *e.ObjectMeta.DeepCopy(), InvolvedObject: e.Regarding, Related: e.Related.DeepCopy(),
		Reason: e.Reason, Message: e.Note, Type: e.Type, EventTime: e.EventTime, Action: e.Action,
		ReportingController: e.ReportingController, ReportingInstance: e.ReportingInstance,
		Source: e.DeprecatedSource, FirstTimestamp: e.DeprecatedFirstTimestamp, LastTimestamp: e.DeprecatedLastTimestamp,
		Count: e.DeprecatedCount,
	}
	if e.Series != nil {
		out.Series = &corev1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	return out, nil
}

func eventFromCore(o Object) (Object, error) {
	e := o.(*corev1.Event)
	out := &eventsv1.Event{
		ObjectMeta: *e.ObjectMeta.DeepCopy(), Regarding: e.InvolvedObject, Related: e.Related.DeepCopy(),
		Reason: e.Reason, Note: e.Message, Type: e.Type, EventTime: e.EventTime, Action: e.Action,
		ReportingController: e.ReportingController, ReportingInstance: e.ReportingInstance,
		DeprecatedSource: e.Source, DeprecatedFirstTimestamp: e.FirstTimestamp, DeprecatedLastTimestamp: e.LastTimestamp,
		DeprecatedCount: e.Count,
	}
	if e.Series != nil {
		out.Series = &eventsv1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	return out, nil
}

// hpaToV2 turns an autoscaling/v1 object into the stored v2 form.
func hpaToV2(o Object) (Object, error) {
	return workload.AutoscalerToV2(o.(*autoscalingv1.HorizontalPodAutoscaler)), nil
}

func hpaFromV2(o Object) (Object, error) {
	return workload.AutoscalerFromV2(o.(*autoscalingv2.HorizontalPodAutoscaler))
}
