package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/engine"
	"github.com/fluxcd/cli-utils/pkg/object"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/runtime/cel"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// The name of the controller, by which the API server knows whose the fields are.
const manager = "kustomize-controller"

// Oftener than the controller's five seconds: a set that looks ready too early is then seen to.
const pollInterval = 100 * time.Millisecond

// source is what Git says now, and what was applied before.
type source struct {
	Objects   []*unstructured.Unstructured `json:"objects"`
	Inventory []*unstructured.Unstructured `json:"inventory"`
}

// revision is what became of it.
type revision struct {
	// Actions by object, such as "VersionPackage/fleet/meter-fw": "created".
	Applied map[string]ssa.Action `json:"applied"`
	Pruned  map[string]ssa.Action `json:"pruned"`
	// Why the set isn't healthy; empty where it is.
	Unhealthy string `json:"unhealthy"`
}

// reconcile does once what kustomize-controller does for each revision: apply, prune, check the health.
func reconcile(text []byte, in io.Reader, out io.Writer) error {
	kustomization, err := readKustomization(text)
	if err != nil {
		return err
	}
	source := source{}
	if err := json.NewDecoder(in).Decode(&source); err != nil {
		return err
	}
	resources, err := resourceManager(kustomization)
	if err != nil {
		return err
	}
	ctx := context.Background()
	resources.SetOwnerLabels(source.Objects, kustomization.Name, kustomization.Namespace)
	if err := normalize.UnstructuredList(source.Objects); err != nil {
		return err
	}
	applied, err := resources.ApplyAllStaged(ctx, source.Objects, applyOptions())
	if err != nil {
		return err
	}
	revision := revision{Applied: applied.ToMap()}
	if kustomization.Spec.Prune {
		pruned, err := resources.DeleteAll(ctx, stale(source), deleteOptions(resources, kustomization))
		if err != nil {
			return err
		}
		revision.Pruned = pruned.ToMap()
	}
	if checked := checked(kustomization, applied); len(checked) > 0 {
		waiting := ssa.WaitOptions{Interval: pollInterval, Timeout: kustomization.GetTimeout()}
		if err := resources.WaitForSetWithContext(ctx, checked, waiting); err != nil {
			revision.Unhealthy = err.Error()
		}
	}
	return json.NewEncoder(out).Encode(revision)
}

func resourceManager(kustomization *kustomizev1.Kustomization) (*ssa.ResourceManager, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	config.UserAgent = manager
	kube, err := newClient(config)
	if err != nil {
		return nil, err
	}
	expressions, err := cel.NewStatusReader(kustomization.Spec.HealthCheckExprs)
	if err != nil {
		return nil, err
	}
	readers := []engine.StatusReader{expressions(kube.RESTMapper())}
	poller := polling.NewStatusPoller(kube, kube.RESTMapper(), polling.Options{CustomStatusReaders: readers})
	return ssa.NewResourceManager(kube, poller, ssa.Owner{Field: manager, Group: kustomizev1.GroupVersion.Group}), nil
}

func newClient(config *rest.Config) (client.Client, error) {
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, http)
	if err != nil {
		return nil, err
	}
	return client.New(config, client.Options{HTTPClient: http, Mapper: mapper})
}

// applyOptions are those of the controller, as far as they can matter to a custom resource.
func applyOptions() ssa.ApplyOptions {
	options := ssa.DefaultApplyOptions()
	options.Cleanup = ssa.ApplyCleanupOptions{
		Annotations: []string{corev1.LastAppliedConfigAnnotation},
		FieldManagers: []ssa.FieldManager{
			{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationApply},
			{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationUpdate},
			{Name: "before-first-apply", OperationType: metav1.ManagedFieldsOperationUpdate},
			{Name: manager, OperationType: metav1.ManagedFieldsOperationUpdate},
		},
	}
	return options
}

// deleteOptions keep what somebody else owns by now, and what carries the label or annotation against pruning.
func deleteOptions(resources *ssa.ResourceManager, kustomization *kustomizev1.Kustomization) ssa.DeleteOptions {
	group := kustomizev1.GroupVersion.Group
	return ssa.DeleteOptions{
		PropagationPolicy: metav1.DeletePropagationBackground,
		Inclusions:        resources.GetOwnerLabels(kustomization.Name, kustomization.Namespace),
		Exclusions: map[string]string{
			group + "/prune":     kustomizev1.DisabledValue,
			group + "/reconcile": kustomizev1.DisabledValue,
		},
	}
}

// stale is what was applied before and isn't in Git any more.
func stale(source source) []*unstructured.Unstructured {
	wanted := object.UnstructuredSetToObjMetadataSet(source.Objects)
	var stale []*unstructured.Unstructured
	for _, old := range source.Inventory {
		if !wanted.Contains(object.UnstructuredToObjMetadata(old)) {
			stale = append(stale, old)
		}
	}
	return stale
}

// checked are the objects whose health counts.
func checked(kustomization *kustomizev1.Kustomization, applied *ssa.ChangeSet) object.ObjMetadataSet {
	if kustomization.Spec.Wait {
		return applied.ToObjMetadataSet()
	}
	var set object.ObjMetadataSet
	for _, check := range kustomization.Spec.HealthChecks {
		kind := schema.FromAPIVersionAndKind(check.APIVersion, check.Kind).GroupKind()
		set = append(set, object.ObjMetadata{Namespace: check.Namespace, Name: check.Name, GroupKind: kind})
	}
	return set
}
