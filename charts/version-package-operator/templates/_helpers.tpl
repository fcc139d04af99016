{{/* The labels of every object. */}}
{{- define "vpo.labels" -}}
{{- merge (dict "app.kubernetes.io/name" "version-package-operator" "app.kubernetes.io/part-of" "version-package-operator") .Values.commonLabels | toYaml }}
{{- end }}

{{/* The image, by its digest where there is one. */}}
{{- define "vpo.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}
